/** Copies of source records on their way to `.invalid .duplicates .late .violations .unique`: bytes unchanged, source in the headers. */
import { PackedRecords, packedTexts } from './packed-records.ts';
import type { RecordView } from './types.ts';

/** Kafka's default limit is 1 MiB a message; headers need room too. */
const MAX_VALUE_BYTES = 1_000_000;
const CUT_TO_BYTES = 64 * 1024;
/** Of headers and framing, about. */
const OVERHEAD_BYTES = 200;
/** source_topic, source_partition, source_offset. */
const SOURCE_HEADERS = 3;

/** Two of a topic, in turn: what was taken is sent before anything is taken again. */
interface Packs {
  waiting: PackedRecords;
  taken: PackedRecords;
}

export class SideOutputs {
  /** The first headers of all, up to where the offset follows. */
  readonly #source: Uint8Array;
  readonly #packs = new Map<string, Packs>();
  /** By reason, the header that says it. */
  readonly #reasons = new Map<string, Uint8Array>();
  #byteLength = 0;

  constructor(sourceTopic: string, sourcePartition: number) {
    this.#source = packedTexts(['source_topic', sourceTopic, 'source_partition', String(sourcePartition), 'source_offset']);
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  get empty(): boolean {
    return this.#byteLength === 0;
  }

  /** @param reason a code in snake_case; '' for `.unique`, which has none */
  copy(record: RecordView, topic: string, reason: string, more: Readonly<Record<string, string>> = NO_MORE): void {
    const { key, keyStart, keyEnd, value, valueStart, valueEnd, offset } = record;
    const whole = valueEnd - valueStart;
    const isCut = value !== null && whole > MAX_VALUE_BYTES;
    const kept = isCut ? CUT_TO_BYTES : whole;
    const pack = this.#packsOf(topic).waiting;
    pack.addKey(key, keyStart, keyEnd);
    pack.addValue(value, valueStart, valueStart + kept);
    let headers = SOURCE_HEADERS + (reason === '' ? 0 : 1) + (isCut ? 1 : 0);
    for (const _ in more) headers++;
    pack.addHeaders(headers);
    pack.addTexts(this.#source);
    pack.addDigits(offset);
    if (reason !== '') pack.addTexts(this.#reasonOf(reason));
    for (const name in more) {
      pack.addText(name);
      pack.addText(more[name]);
    }
    if (isCut) {
      pack.addText('truncated');
      pack.addDigits(whole);
    }
    pack.endRecord();
    this.#byteLength += (key === null ? 0 : keyEnd - keyStart) + (value === null ? 0 : kept) + OVERHEAD_BYTES;
  }

  /** One a topic that has any, in the order of their names; their bytes are valid until the next `take`. */
  take(): PackedRecords[] {
    const taken: PackedRecords[] = [];
    for (const packs of this.#packs.values()) {
      const { waiting, taken: sent } = packs;
      packs.waiting = sent;
      packs.taken = waiting;
      sent.clear(waiting.byteLength);
      if (waiting.size > 0) taken.push(waiting);
    }
    this.#byteLength = 0;
    return taken.sort((a, b) => (a.topic < b.topic ? -1 : 1));
  }

  #packsOf(topic: string): Packs {
    const known = this.#packs.get(topic);
    if (known !== undefined) return known;
    const packs = { waiting: new PackedRecords(topic), taken: new PackedRecords(topic) };
    this.#packs.set(topic, packs);
    return packs;
  }

  #reasonOf(reason: string): Uint8Array {
    const known = this.#reasons.get(reason);
    if (known !== undefined) return known;
    const header = packedTexts(['reason', reason]);
    this.#reasons.set(reason, header);
    return header;
  }
}

const NO_MORE = {};
