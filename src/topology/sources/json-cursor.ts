/** What makes a line no record. */
export class LineFault extends Error {}

export const QUOTE = 0x22;
const BACKSLASH = 0x5c;
export const COLON = 0x3a;
export const COMMA = 0x2c;
export const OPEN = 0x7b;
export const CLOSE = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const ZERO = 0x30;
const NINE = 0x39;
const MAX_QUICK_DIGITS = 15;

/** A place in a stretch of JSON, moved over it piece by piece. Throws LineFault where the piece is not there. */
export class JsonCursor {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;
  /** The last string passed holds escapes. */
  escaped = false;

  /** A string's text. */
  text(what: string): string {
    const start = this.at;
    this.requireString(what);
    this.skipString();
    return this.escaped ? this.parsed(start, this.at) : this.bytes.toString('utf8', start + 1, this.at - 1);
  }

  requireString(what: string): void {
    if (this.at >= this.end || this.bytes[this.at] !== QUOTE) throw new LineFault(`${what} is not a string`);
  }

  parsed(start: number, end: number): string {
    try {
      return JSON.parse(this.bytes.toString('utf8', start, end)) as string;
    } catch {
      throw new LineFault('a string has a wrong escape');
    }
  }

  /** The number, if nothing but a few digits stands there; else -1. */
  digits(start: number, end: number): number {
    if (end - start > MAX_QUICK_DIGITS) return -1;
    let value = 0;
    for (let at = start; at < end; at++) {
      const byte = this.bytes[at];
      if (byte < ZERO || byte > NINE) return -1;
      value = value * 10 + byte - ZERO;
    }
    return value;
  }

  /** From the opening quote to behind the closing one. */
  skipString(): void {
    const bytes = this.bytes;
    const end = this.end;
    this.escaped = false;
    for (let at = this.at + 1; at < end; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        this.at = at + 1;
        return;
      }
      if (byte === BACKSLASH) {
        this.escaped = true;
        at++;
      }
    }
    throw new LineFault('a string does not end');
  }

  skipValue(): void {
    const first = this.bytes[this.at];
    if (first === QUOTE) this.skipString();
    else if (first === OPEN || first === OPEN_LIST) this.skipNested();
    else this.skipWord();
  }

  /** Objects and lists by their brackets; what is between is not looked at. */
  skipNested(): void {
    const bytes = this.bytes;
    const end = this.end;
    let depth = 0;
    for (let at = this.at; at < end; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        for (at++; at < end && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
      } else if (byte === OPEN || byte === OPEN_LIST) {
        depth++;
      } else if ((byte === CLOSE || byte === CLOSE_LIST) && --depth === 0) {
        this.at = at + 1;
        return;
      }
    }
    throw new LineFault('an object or list does not end');
  }

  /** Numbers, true, false, null: up to the next separator. */
  skipWord(): void {
    const start = this.at;
    for (; this.at < this.end; this.at++) {
      const byte = this.bytes[this.at];
      const inWord =
        (byte >= ZERO && byte <= NINE) ||
        (byte >= 0x61 && byte <= 0x7a) ||
        byte === 0x2d ||
        byte === 0x2e ||
        byte === 0x2b ||
        byte === 0x45;
      if (!inWord) break;
    }
    if (this.at === start) throw new LineFault('a value is missing');
  }

  skipSpace(): void {
    while (this.at < this.end) {
      const byte = this.bytes[this.at];
      if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return;
      this.at++;
    }
  }

  expect(byte: number, otherwise: string): void {
    if (this.at >= this.end || this.bytes[this.at] !== byte) throw new LineFault(otherwise);
    this.at++;
  }
}
