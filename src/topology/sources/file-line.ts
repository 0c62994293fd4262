/**
 * One line of a file of records, scanned as bytes: `{"topic","partition"?,"timestamp"?,"key","value"}`, `value_base64` instead of
 * `value`, or what `kcat -J` prints (`ts`, `payload`). Members in any order, unknown ones ignored, of a repeated one the last counts.
 *
 * `value` that is a JSON string stands for its text; null is a null value; anything else is taken as it is written, byte for byte, so
 * that what is wrong inside is judged where records are judged. `payload` is text or null.
 */

/** What makes a line no record. */
export class LineFault extends Error {}

/** Bytes of a record: a stretch of the line's buffer, bytes of its own, or null. */
export class Span {
  start = 0;
  end = 0;
  own: Uint8Array | null = null;
  isNull = true;

  clear(): void {
    this.own = null;
    this.isNull = true;
  }

  set(start: number, end: number): void {
    this.start = start;
    this.end = end;
    this.own = null;
    this.isNull = false;
  }

  setOwn(bytes: Uint8Array): void {
    this.own = bytes;
    this.isNull = false;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const ZERO = 0x30;
const NINE = 0x39;

const NAMES = ['topic', 'partition', 'timestamp', 'ts', 'key', 'payload', 'value', 'value_base64'] as const;
type Name = (typeof NAMES)[number];
const NAME_BYTES = NAMES.map((name) => Buffer.from(name));
const MAX_QUICK_DIGITS = 15;

/** Index of the word that stands at `bytes[start, end)`, -1 when none does. */
const wordAt = (words: readonly Uint8Array[], bytes: Uint8Array, start: number, end: number): number => {
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (word.length !== end - start) continue;
    let same = 0;
    while (same < word.length && word[same] === bytes[start + same]) same++;
    if (same === word.length) return i;
  }
  return -1;
};

export class LineScanner {
  /** Index in the topics given. */
  topic = -1;
  /** -1: by the key. */
  partition = -1;
  /** Epoch ms, NaN when there is none. */
  timestampMs = Number.NaN;
  readonly key = new Span();
  readonly value = new Span();
  readonly #topics: readonly string[];
  readonly #topicBytes: readonly Uint8Array[];
  #hasValue = false;
  #escaped = false;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  constructor(topics: readonly string[]) {
    this.#topics = topics;
    this.#topicBytes = topics.map((topic) => Buffer.from(topic));
  }

  /** Fills the fields from the line `bytes[start, end)`; false for a blank line. Throws LineFault. */
  scan(bytes: Buffer, start: number, end: number): boolean {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.topic = -1;
    this.partition = -1;
    this.timestampMs = Number.NaN;
    this.#hasValue = false;
    this.key.clear();
    this.value.clear();
    this.#skipSpace();
    if (this.#at === end) return false;
    this.#members();
    this.#skipSpace();
    if (this.#at !== end) throw new LineFault('something follows the object');
    if (this.topic < 0) throw new LineFault('"topic" is missing');
    if (!this.#hasValue) throw new LineFault('"value" is missing');
    return true;
  }

  #members(): void {
    this.#expect(OPEN, 'it is not a JSON object');
    this.#skipSpace();
    if (this.#bytes[this.#at] === CLOSE) {
      this.#at++;
      return;
    }
    for (;;) {
      this.#skipSpace();
      const name = this.#name();
      this.#skipSpace();
      this.#expect(COLON, '":" is missing after a name');
      this.#skipSpace();
      this.#member(name);
      this.#skipSpace();
      if (this.#at < this.#end && this.#bytes[this.#at] === COMMA) {
        this.#at++;
        continue;
      }
      this.#expect(CLOSE, 'the object does not end');
      return;
    }
  }

  /** A member's name where it is one we look for. */
  #name(): Name | null {
    const start = this.#at;
    this.#requireString('a name');
    this.#skipString();
    if (this.#escaped) return NAMES.find((name) => name === this.#parsed(start, this.#at)) ?? null;
    const index = wordAt(NAME_BYTES, this.#bytes, start + 1, this.#at - 1);
    return index < 0 ? null : NAMES[index];
  }

  #member(name: Name | null): void {
    switch (name) {
      case 'topic':
        this.topic = this.#topicIndex();
        return;
      case 'partition':
        this.partition = this.#integer(name) ?? -1;
        return;
      case 'timestamp':
      case 'ts':
        this.#timestamp(name);
        return;
      case 'key':
        this.#textOrNull(name, this.key);
        return;
      case 'payload':
        this.#textOrNull(name, this.value);
        this.#hasValue = true;
        return;
      case 'value':
        this.#valueAsWritten();
        this.#hasValue = true;
        return;
      case 'value_base64':
        this.value.setOwn(this.#base64());
        this.#hasValue = true;
        return;
      default:
        this.#skipValue();
    }
  }

  #topicIndex(): number {
    const start = this.#at;
    this.#requireString('"topic"');
    this.#skipString();
    const quick = this.#escaped ? -1 : wordAt(this.#topicBytes, this.#bytes, start + 1, this.#at - 1);
    if (quick >= 0) return quick;
    const name = this.#parsed(start, this.#at);
    const index = this.#topics.indexOf(name);
    if (index < 0) throw new LineFault(`topic "${name}" is none of ${this.#topics.join(', ')}`);
    return index;
  }

  #timestamp(name: string): void {
    const given = this.#integer(name);
    this.timestampMs = given === null || given < 0 ? Number.NaN : given;
  }

  #integer(name: string): number | null {
    const start = this.#at;
    this.#skipValue();
    const quick = this.#digits(start, this.#at);
    if (quick >= 0) return quick;
    const text = this.#bytes.toString('latin1', start, this.#at);
    if (text === 'null') return null;
    const value = /^-?\d/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value)) throw new LineFault(`"${name}" is not an integer`);
    return value;
  }

  /** The number, if nothing but a few digits stands there; else -1. */
  #digits(start: number, end: number): number {
    if (end - start > MAX_QUICK_DIGITS) return -1;
    let value = 0;
    for (let at = start; at < end; at++) {
      const byte = this.#bytes[at];
      if (byte < ZERO || byte > NINE) return -1;
      value = value * 10 + byte - ZERO;
    }
    return value;
  }

  #base64(): Uint8Array {
    const text = this.#text('"value_base64"');
    if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new LineFault('"value_base64" is not base64');
    return Buffer.from(text, 'base64');
  }

  #valueAsWritten(): void {
    const start = this.#at;
    const first = this.#bytes[start];
    if (first === QUOTE || first === 0x6e) {
      this.#textOrNull('value', this.value);
      return;
    }
    this.#skipValue();
    this.value.set(start, this.#at);
  }

  #textOrNull(name: string, span: Span): void {
    const start = this.#at;
    if (this.#bytes[start] === QUOTE) {
      this.#skipString();
      if (this.#escaped) span.setOwn(Buffer.from(this.#parsed(start, this.#at)));
      else span.set(start + 1, this.#at - 1);
      return;
    }
    this.#skipValue();
    if (this.#bytes.toString('latin1', start, this.#at) !== 'null') throw new LineFault(`"${name}" is neither text nor null`);
    span.clear();
  }

  /** A string's text. */
  #text(what: string): string {
    const start = this.#at;
    this.#requireString(what);
    this.#skipString();
    return this.#escaped ? this.#parsed(start, this.#at) : this.#bytes.toString('utf8', start + 1, this.#at - 1);
  }

  #requireString(what: string): void {
    if (this.#at >= this.#end || this.#bytes[this.#at] !== QUOTE) throw new LineFault(`${what} is not a string`);
  }

  #parsed(start: number, end: number): string {
    try {
      return JSON.parse(this.#bytes.toString('utf8', start, end)) as string;
    } catch {
      throw new LineFault('a string has a wrong escape');
    }
  }

  /** From the opening quote to behind the closing one. */
  #skipString(): void {
    const bytes = this.#bytes;
    const end = this.#end;
    this.#escaped = false;
    for (let at = this.#at + 1; at < end; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        this.#at = at + 1;
        return;
      }
      if (byte === BACKSLASH) {
        this.#escaped = true;
        at++;
      }
    }
    throw new LineFault('a string does not end');
  }

  #skipValue(): void {
    const first = this.#bytes[this.#at];
    if (first === QUOTE) this.#skipString();
    else if (first === OPEN || first === OPEN_LIST) this.#skipNested();
    else this.#skipWord();
  }

  /** Objects and lists by their brackets; what is between is not looked at. */
  #skipNested(): void {
    const bytes = this.#bytes;
    const end = this.#end;
    let depth = 0;
    for (let at = this.#at; at < end; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        for (at++; at < end && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
      } else if (byte === OPEN || byte === OPEN_LIST) {
        depth++;
      } else if ((byte === CLOSE || byte === CLOSE_LIST) && --depth === 0) {
        this.#at = at + 1;
        return;
      }
    }
    throw new LineFault('an object or list does not end');
  }

  /** Numbers, true, false, null: up to the next separator. */
  #skipWord(): void {
    const start = this.#at;
    for (; this.#at < this.#end; this.#at++) {
      const byte = this.#bytes[this.#at];
      const inWord =
        (byte >= ZERO && byte <= NINE) ||
        (byte >= 0x61 && byte <= 0x7a) ||
        byte === 0x2d ||
        byte === 0x2e ||
        byte === 0x2b ||
        byte === 0x45;
      if (!inWord) break;
    }
    if (this.#at === start) throw new LineFault('a value is missing');
  }

  #skipSpace(): void {
    while (this.#at < this.#end) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return;
      this.#at++;
    }
  }

  #expect(byte: number, otherwise: string): void {
    if (this.#at >= this.#end || this.#bytes[this.#at] !== byte) throw new LineFault(otherwise);
    this.#at++;
  }
}
