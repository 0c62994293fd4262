/**
 * One line of a file of records, scanned as bytes: `{"topic","partition"?,"timestamp"?,"key","value"}`, `value_base64` instead of
 * `value`, or what `kcat -J` prints (`ts`, `payload`). Members in any order, unknown ones ignored, of a repeated one the last counts.
 *
 * `value` that is a JSON string stands for its text; null is a null value; anything else is taken as it is written, byte for byte, so
 * that what is wrong inside is judged where records are judged. `payload` is text or null.
 */
import { CLOSE, COLON, COMMA, JsonCursor, LineFault, OPEN, QUOTE } from './json-cursor.ts';

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

const NAMES = ['topic', 'partition', 'timestamp', 'ts', 'key', 'payload', 'value', 'value_base64'] as const;
type Name = (typeof NAMES)[number];
const NAME_BYTES = NAMES.map((name) => Buffer.from(name));

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
  readonly #json = new JsonCursor();

  constructor(topics: readonly string[]) {
    this.#topics = topics;
    this.#topicBytes = topics.map((topic) => Buffer.from(topic));
  }

  /** Fills the fields from the line `bytes[start, end)`; false for a blank line. Throws LineFault. */
  scan(bytes: Buffer, start: number, end: number): boolean {
    this.#json.bytes = bytes;
    this.#json.at = start;
    this.#json.end = end;
    this.topic = -1;
    this.partition = -1;
    this.timestampMs = Number.NaN;
    this.#hasValue = false;
    this.key.clear();
    this.value.clear();
    this.#json.skipSpace();
    if (this.#json.at === end) return false;
    this.#members();
    this.#json.skipSpace();
    if (this.#json.at !== end) throw new LineFault('something follows the object');
    if (this.topic < 0) throw new LineFault('"topic" is missing');
    if (!this.#hasValue) throw new LineFault('"value" is missing');
    return true;
  }

  #members(): void {
    this.#json.expect(OPEN, 'it is not a JSON object');
    this.#json.skipSpace();
    if (this.#json.bytes[this.#json.at] === CLOSE) {
      this.#json.at++;
      return;
    }
    for (;;) {
      this.#json.skipSpace();
      const name = this.#name();
      this.#json.skipSpace();
      this.#json.expect(COLON, '":" is missing after a name');
      this.#json.skipSpace();
      this.#member(name);
      this.#json.skipSpace();
      if (this.#json.at < this.#json.end && this.#json.bytes[this.#json.at] === COMMA) {
        this.#json.at++;
        continue;
      }
      this.#json.expect(CLOSE, 'the object does not end');
      return;
    }
  }

  /** A member's name where it is one we look for. */
  #name(): Name | null {
    const start = this.#json.at;
    this.#json.requireString('a name');
    this.#json.skipString();
    if (this.#json.escaped) return NAMES.find((name) => name === this.#json.parsed(start, this.#json.at)) ?? null;
    const index = wordAt(NAME_BYTES, this.#json.bytes, start + 1, this.#json.at - 1);
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
        this.#json.skipValue();
    }
  }

  #topicIndex(): number {
    const start = this.#json.at;
    this.#json.requireString('"topic"');
    this.#json.skipString();
    const quick = this.#json.escaped ? -1 : wordAt(this.#topicBytes, this.#json.bytes, start + 1, this.#json.at - 1);
    if (quick >= 0) return quick;
    const name = this.#json.parsed(start, this.#json.at);
    const index = this.#topics.indexOf(name);
    if (index < 0) throw new LineFault(`topic "${name}" is none of ${this.#topics.join(', ')}`);
    return index;
  }

  #timestamp(name: string): void {
    const given = this.#integer(name);
    this.timestampMs = given === null || given < 0 ? Number.NaN : given;
  }

  #integer(name: string): number | null {
    const start = this.#json.at;
    this.#json.skipValue();
    const quick = this.#json.digits(start, this.#json.at);
    if (quick >= 0) return quick;
    const text = this.#json.bytes.toString('latin1', start, this.#json.at);
    if (text === 'null') return null;
    const value = /^-?\d/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value)) throw new LineFault(`"${name}" is not an integer`);
    return value;
  }

  #base64(): Uint8Array {
    const text = this.#json.text('"value_base64"');
    if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new LineFault('"value_base64" is not base64');
    return Buffer.from(text, 'base64');
  }

  #valueAsWritten(): void {
    const start = this.#json.at;
    const first = this.#json.bytes[start];
    if (first === QUOTE || first === 0x6e) {
      this.#textOrNull('value', this.value);
      return;
    }
    this.#json.skipValue();
    this.value.set(start, this.#json.at);
  }

  #textOrNull(name: string, span: Span): void {
    const start = this.#json.at;
    if (this.#json.bytes[start] === QUOTE) {
      this.#json.skipString();
      if (this.#json.escaped) span.setOwn(Buffer.from(this.#json.parsed(start, this.#json.at)));
      else span.set(start + 1, this.#json.at - 1);
      return;
    }
    this.#json.skipValue();
    if (this.#json.bytes.toString('latin1', start, this.#json.at) !== 'null') throw new LineFault(`"${name}" is neither text nor null`);
    span.clear();
  }
}
