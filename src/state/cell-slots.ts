/** The slots by which a cell is found: open, one after the other. */

/** In a slot stand the index of its cell + 1, so that new memory is empty as it is, and the cell's hash, so that no other cell is read. */
export const SLOT_WORDS = 2;
export const EMPTY = 0;

export const slotOf = (slots: Int32Array, hash: number): number => (hash * SLOT_WORDS) & (slots.length - 1);

export const after = (slots: Int32Array, slot: number): number => (slot + SLOT_WORDS) & (slots.length - 1);

/** Empties a slot; those behind it that were pushed on move up, as if it had never been taken. */
export function vacate(slots: Int32Array, slot: number): void {
  const mask = slots.length - 1;
  for (let at = after(slots, slot); slots[at] !== EMPTY; at = after(slots, at)) {
    const home = slotOf(slots, slots[at + 1]);
    if (((at - home) & mask) < ((at - slot) & mask)) continue;
    slots[slot] = slots[at];
    slots[slot + 1] = slots[at + 1];
    slot = at;
  }
  slots[slot] = EMPTY;
}
