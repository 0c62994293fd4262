/**
 * Checks JSON (RFC 8259) in place. Each function takes where something begins and returns where it ends, or -1 when it
 * is not that. Reading past `end` does no harm: positions only grow, so the caller sees at last that it did not arrive at
 * `end` exactly.
 */

export const SPACE = 0x20;
export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const MINUS = 0x2d;
export const ZERO = 0x30;
export const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;

/** Objects and arrays inside each other that are followed. */
const MAX_DEPTH = 64;

/** By byte: 1 for what stands for itself in a text (printable ASCII but `"` and `\`). */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x20 && byte < 0x80 && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0));
/** By byte: 1 for what may follow a backslash, u apart. */
const ESCAPABLE = Uint8Array.from({ length: 256 }, (_, byte) => ('"\\/bfnrt'.includes(String.fromCharCode(byte)) ? 1 : 0));

export function afterSpace(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && bytes[i] <= 0x20 && isSpace(bytes[i])) i++;
  return i;
}

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/**
 * The closing quote of a text without escapes; `at` is after the opening one. -1 also when there is an escape. `words` is
 * a view of the same bytes: eight at a time take half of the time.
 */
export function plainTextEnd(bytes: Uint8Array, words: DataView, at: number, end: number): number {
  let i = at;
  for (;;) {
    for (const last = end - 8; i <= last; i += 8) {
      const first = unplainMarks(words.getInt32(i, true));
      const second = unplainMarks(words.getInt32(i + 4, true));
      if ((first | second) === 0) continue;
      const marks = first === 0 ? second : first;
      i += (first === 0 ? 4 : 0) + ((31 - Math.clz32(marks & -marks)) >> 3);
      break;
    }
    while (i < end && PLAIN[bytes[i]] === 1) i++;
    if (i >= end) return -1;
    if (bytes[i] === QUOTE) return i;
    if (bytes[i] < 0x80) return -1;
    i = afterMultibyte(bytes, i);
    if (i < 0) return -1;
  }
}

/**
 * The highest bit of the first byte in a little-endian word that is not PLAIN is set, and none below it; 0 when all are.
 * (A subtraction that goes below zero borrows, which only bytes above can feel.)
 */
function unplainMarks(word: number): number {
  const quotes = word ^ 0x22222222;
  const backslashes = word ^ 0x5c5c5c5c;
  const controls = word - 0x20202020;
  return ((quotes - 0x01010101) | (backslashes - 0x01010101) | controls | word) & 0x80808080;
}

/** After the closing quote; `at` is after the opening one. */
function afterText(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  for (;;) {
    while (i < end && PLAIN[bytes[i]] === 1) i++;
    if (i >= end) return -1;
    const byte = bytes[i];
    if (byte === QUOTE) return i + 1;
    if (byte === BACKSLASH) i = afterEscape(bytes, i + 1);
    else if (byte >= 0x80) i = afterMultibyte(bytes, i);
    else return -1;
    if (i < 0) return -1;
  }
}

function afterEscape(bytes: Uint8Array, at: number): number {
  if (ESCAPABLE[bytes[at]] === 1) return at + 1;
  if (bytes[at] !== 0x75) return -1;
  for (let i = at + 1; i < at + 5; i++) {
    if (!isHexDigit(bytes[i])) return -1;
  }
  return at + 5;
}

const isHexDigit = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);

/** After one code point of two to four bytes: shortest form only, no surrogates, nothing above U+10FFFF. */
function afterMultibyte(bytes: Uint8Array, at: number): number {
  const lead = bytes[at];
  const second = bytes[at + 1];
  if (lead < 0xe0) return lead >= 0xc2 && isContinuation(second) ? at + 2 : -1;
  if (!isContinuation(second) || !isContinuation(bytes[at + 2])) return -1;
  if (lead < 0xf0) return (lead === 0xe0 && second < 0xa0) || (lead === 0xed && second > 0x9f) ? -1 : at + 3;
  if (lead > 0xf4 || (lead === 0xf0 && second < 0x90) || (lead === 0xf4 && second > 0x8f)) return -1;
  return isContinuation(bytes[at + 3]) ? at + 4 : -1;
}

const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80;

export const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

function afterDigits(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && isDigit(bytes[i])) i++;
  return i === at ? -1 : i;
}

function afterNumber(bytes: Uint8Array, at: number, end: number): number {
  let i = bytes[at] === MINUS ? at + 1 : at;
  i = bytes[i] === ZERO ? i + 1 : afterDigits(bytes, i, end);
  if (i >= 0 && bytes[i] === 0x2e) i = afterDigits(bytes, i + 1, end);
  if (i >= 0 && (bytes[i] | 0x20) === 0x65) {
    const sign = bytes[i + 1];
    i = afterDigits(bytes, sign === 0x2b || sign === MINUS ? i + 2 : i + 1, end);
  }
  return i;
}

export function afterTrue(bytes: Uint8Array, at: number): number {
  return bytes[at] === 0x74 && bytes[at + 1] === 0x72 && bytes[at + 2] === 0x75 && bytes[at + 3] === 0x65 ? at + 4 : -1;
}

export function afterFalse(bytes: Uint8Array, at: number): number {
  return bytes[at] === 0x66 && bytes[at + 1] === 0x61 && bytes[at + 2] === 0x6c && bytes[at + 3] === 0x73 && bytes[at + 4] === 0x65
    ? at + 5
    : -1;
}

export function afterNull(bytes: Uint8Array, at: number): number {
  return bytes[at] === 0x6e && bytes[at + 1] === 0x75 && bytes[at + 2] === 0x6c && bytes[at + 3] === 0x6c ? at + 4 : -1;
}

/** After any value; -1 also when it is nested too deeply. `depth` is that of the value's parent. */
export function afterValue(bytes: Uint8Array, at: number, end: number, depth: number): number {
  switch (bytes[at]) {
    case QUOTE:
      return afterText(bytes, at + 1, end);
    case OPEN_BRACE:
      return afterObject(bytes, at + 1, end, depth + 1);
    case OPEN_BRACKET:
      return afterArray(bytes, at + 1, end, depth + 1);
    case 0x74:
      return afterTrue(bytes, at);
    case 0x66:
      return afterFalse(bytes, at);
    case 0x6e:
      return afterNull(bytes, at);
    default:
      return afterNumber(bytes, at, end);
  }
}

function afterObject(bytes: Uint8Array, at: number, end: number, depth: number): number {
  if (depth > MAX_DEPTH) return -1;
  let i = afterSpace(bytes, at, end);
  if (bytes[i] === CLOSE_BRACE) return i + 1;
  for (;;) {
    if (bytes[i] !== QUOTE) return -1;
    i = afterText(bytes, i + 1, end);
    if (i < 0) return -1;
    i = afterSpace(bytes, i, end);
    if (bytes[i] !== COLON) return -1;
    i = afterValue(bytes, afterSpace(bytes, i + 1, end), end, depth);
    if (i < 0) return -1;
    i = afterSpace(bytes, i, end);
    if (bytes[i] === CLOSE_BRACE) return i + 1;
    if (bytes[i] !== COMMA) return -1;
    i = afterSpace(bytes, i + 1, end);
  }
}

function afterArray(bytes: Uint8Array, at: number, end: number, depth: number): number {
  if (depth > MAX_DEPTH) return -1;
  let i = afterSpace(bytes, at, end);
  if (bytes[i] === CLOSE_BRACKET) return i + 1;
  for (;;) {
    i = afterValue(bytes, i, end, depth);
    if (i < 0) return -1;
    i = afterSpace(bytes, i, end);
    if (bytes[i] === CLOSE_BRACKET) return i + 1;
    if (bytes[i] !== COMMA) return -1;
    i = afterSpace(bytes, i + 1, end);
  }
}
