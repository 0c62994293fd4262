/**
 * Moves a stretch of a dedup table within its memory, as `lift` and `drop` of src/state/fingerprint-slots.ts do: there is what it is for.
 * It is AssemblyScript, compiled into src/state/native-moves.ts by `npm run build:native`; what calls it is src/state/compiled-moves.ts,
 * which knows the same places.
 */

/** By tag: 1 when its bucket is live. */
// @ts-ignore: decorator
@inline const LIVE: usize = 0;
/** What was found: slots that were not empty, keys that were placed, keys without room. */
// @ts-ignore: decorator
@inline const USED: usize = 64;
// @ts-ignore: decorator
@inline const PLACED: usize = 68;
// @ts-ignore: decorator
@inline const STRAYS: usize = 72;
/** Keys on the way: top of the hash, then the slot. Those without room are left at its beginning. */
// @ts-ignore: decorator
@inline const KEYS: usize = 128;
// @ts-ignore: decorator
@inline const KEY_BYTES: usize = 12;
// @ts-ignore: decorator
@inline const SLOTS: usize = 4 * 65536;

// @ts-ignore: decorator
@inline const TAG_SHIFT: u32 = 26;
// @ts-ignore: decorator
@inline const MASK: u32 = (1 << 26) - 1;
// @ts-ignore: decorator
@inline const REGION: f64 = 67108864;
// @ts-ignore: decorator
@inline const ROUNDING: f64 = 0.0625;

/** Slots `from` to `to`, whose keys were placed under `capacity`, go to where `scale` wants them, within `reach` slots. */
export function move(from: u32, to: u32, capacity: f64, scale: f64, reach: u32): void {
  const end = lift(from, to, capacity);
  memory.fill(SLOTS + <usize>from * 8, 0, <usize>(to - from) * 8);
  drop(end, scale, reach);
}

function lift(from: u32, to: u32, capacity: f64): usize {
  const perSlot = (64 * REGION) / capacity;
  let region = <u32>Math.floor((<f64>from * 64) / capacity);
  let within = <f64>from * perSlot - <f64>region * REGION + ROUNDING;
  let key: usize = KEYS;
  let used: u32 = 0;
  const end = SLOTS + <usize>to * 8;
  for (let at = SLOTS + <usize>from * 8; at < end; at += 8) {
    within += perSlot;
    if (within >= REGION) {
      within -= REGION;
      region++;
    }
    const slot = load<u64>(at);
    const first = <u32>slot;
    const low = first & MASK;
    used += <u32>(first != 0);
    store<u32>(key, ((region - <u32>(<f64>low > within)) << TAG_SHIFT) | low);
    store<u64>(key + 4, slot);
    key += KEY_BYTES * <usize>load<u8>(LIVE + <usize>(first >>> TAG_SHIFT));
  }
  store<u32>(USED, used);
  return key;
}

function drop(end: usize, scale: f64, reach: u32): void {
  const most = <usize>reach * 8;
  let placed: u32 = 0;
  let strays: usize = KEYS;
  let runStart: usize = SLOTS;
  let runEnd: usize = SLOTS;
  for (let key: usize = KEYS; key < end; key += KEY_BYTES) {
    const home = SLOTS + <usize>(<u32>(<f64>load<u32>(key) * scale)) * 8;
    const isInRun = home < runEnd;
    let at = select<usize>(runEnd, home, isInRun);
    if (home >= runStart && load<u32>(at) == 0) {
      runStart = select<usize>(runStart, home, isInRun);
      runEnd = at + 8;
    } else {
      at = home;
      while (load<u32>(at) != 0) at += 8;
      if (at > runEnd) runStart = home;
      if (at >= runEnd) runEnd = at + 8;
    }
    if (at - home > most) {
      if (runEnd > at) runEnd = at;
      store<u32>(strays, load<u32>(key));
      store<u64>(strays + 4, load<u64>(key + 4));
      strays += KEY_BYTES;
      continue;
    }
    store<u64>(at, load<u64>(key + 4));
    placed++;
  }
  store<u32>(PLACED, placed);
  store<u32>(STRAYS, <u32>((strays - KEYS) / KEY_BYTES));
}
