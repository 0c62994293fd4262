/** Finds where things lie in bytes that are already known to be JSON: nothing here checks, and nothing recurses. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const UTF8 = new TextDecoder();

export interface Span {
  start: number;
  /** Exclusive. */
  end: number;
}

/**
 * The value of a member of the object whose text begins at `at` (after spaces); of a repeated name the last counts.
 *
 * @throws when there is no member of that name
 */
export function memberSpan(bytes: Uint8Array, at: number, name: string): Span {
  let found: Span | null = null;
  let i = afterSpace(bytes, afterSpace(bytes, at) + 1);
  while (bytes[i] !== CLOSE_BRACE) {
    const nameEnd = afterString(bytes, i);
    const start = afterSpace(bytes, afterSpace(bytes, nameEnd) + 1);
    const end = afterValue(bytes, start);
    if (JSON.parse(UTF8.decode(bytes.subarray(i, nameEnd))) === name) found = { start, end };
    i = afterSpace(bytes, end);
    if (bytes[i] === COMMA) i = afterSpace(bytes, i + 1);
  }
  if (found === null) throw new Error(`no member ${name}`);
  return found;
}

function afterValue(bytes: Uint8Array, at: number): number {
  let i = at;
  for (let depth = 0; ; ) {
    const byte = bytes[i];
    if (byte === QUOTE) i = afterString(bytes, i);
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth++;
      i++;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--;
      i++;
    } else if (depth === 0) return afterWord(bytes, i);
    else i++;
    if (depth === 0) return i;
  }
}

/** After a number or a literal. */
function afterWord(bytes: Uint8Array, at: number): number {
  let i = at;
  while (bytes[i] !== COMMA && bytes[i] !== CLOSE_BRACE && bytes[i] > 0x20) i++;
  return i;
}

function afterString(bytes: Uint8Array, at: number): number {
  let i = at + 1;
  while (bytes[i] !== QUOTE) i += bytes[i] === BACKSLASH ? 2 : 1;
  return i + 1;
}

function afterSpace(bytes: Uint8Array, at: number): number {
  let i = at;
  while (bytes[i] <= 0x20) i++;
  return i;
}
