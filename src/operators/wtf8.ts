/** A surrogate without its other half, which no UTF-8 can hold. */
export const LONE_SURROGATE = /\p{Surrogate}/u;

const ENCODER = new TextEncoder();

/** UTF-8 takes at most three bytes for each UTF-16 unit. */
export const maxEncodedBytes = (text: string): number => text.length * 3;

/**
 * Writes a text as UTF-8 and returns where it ends; there must be room for `maxEncodedBytes`. A lone surrogate becomes the
 * three bytes that UTF-8 would give it (WTF-8), so that different texts stay different bytes.
 */
export function encodeText(text: string, into: Uint8Array, start: number): number {
  if (!LONE_SURROGATE.test(text)) return start + ENCODER.encodeInto(text, into.subarray(start)).written;
  let at = start;
  for (const character of text) {
    if (!LONE_SURROGATE.test(character)) {
      at += ENCODER.encodeInto(character, into.subarray(at)).written;
      continue;
    }
    const unit = character.charCodeAt(0);
    into[at++] = 0xe0 | (unit >> 12);
    into[at++] = 0x80 | ((unit >> 6) & 0x3f);
    into[at++] = 0x80 | (unit & 0x3f);
  }
  return at;
}
