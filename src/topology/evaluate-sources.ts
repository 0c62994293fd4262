/** How far each source partition is, as its marks say, and what follows for a stream's watermark. */
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import { SECTIONS, type Section } from './evaluate-sections.ts';
import type { PartialHeader } from './partials.ts';
import { STREAMS, type Stream } from './types.ts';

export interface SourceProgress {
  topic: string;
  partition: number;
  stream: Stream;
  partitions: number;
  /** -1 before the first complete mark. */
  origin: number;
  position: number;
  watermarkMs: number | null;
  idle: boolean;
  endAgeMs: number | null;
  lastRecordMs: number | null;
  /** Kafka time of the mark (LogAppendTime of `.partials`); NaN when it had none. */
  markMs: number;
  /** Every record of it whose Kafka time is before this is counted; null while unknown. Never goes back. */
  countedUntilMs: number | null;
}

interface Arriving {
  claim: number;
  emission: number;
  seen: Set<number>;
}

/** An emission that has arrived whole. */
interface Emitted {
  claim: number;
  emission: number;
  /** Kafka time of its first arrival. */
  markMs: number;
}

export class Sources {
  readonly #list: SourceProgress[] = [];
  readonly #byName = new Map<string, number>();
  readonly #arriving = new Map<number, Arriving>();
  readonly #emitted = new Map<number, Emitted>();
  readonly #changed = new Set<number>();
  readonly #counted = new Set<number>();
  /** Sources that began counting again behind a truncated log: their counts may be too low, and say so. */
  readonly lost = new Set<number>();
  /** How far each is counted, of those that have gone on: not in the mark itself, since it also needs the one before. */
  readonly counted: Section = {
    id: SECTIONS.counted,
    write: (out) => this.#writeCounted(out),
    read: (from) => this.#readCounted(from),
    touchAll: () => {
      for (const index of this.#list.keys()) this.#counted.add(index);
    },
  };
  #version = 0;

  /** Grows with every mark that says something new to Postgres. */
  get version(): number {
    return this.#version;
  }

  all(): readonly SourceProgress[] {
    return this.#list;
  }

  /** Those that have sent a mark, with times in whole ms. */
  reported(): SourceProgress[] {
    const heard = this.#list.filter(({ origin }) => origin >= 0);
    return heard.map(({ countedUntilMs, ...source }) => ({
      ...source,
      countedUntilMs: countedUntilMs === null ? null : Math.floor(countedUntilMs),
    }));
  }

  /** The index of the source that a record comes from. */
  of(header: Pick<PartialHeader, 'topic' | 'partition' | 'stream' | 'partitions'>): number {
    const name = `${header.topic}/${header.partition}`;
    let index = this.#byName.get(name);
    if (index === undefined) {
      index = this.#list.length;
      this.#byName.set(name, index);
      const { topic, partition, stream, partitions } = header;
      const unknown = { watermarkMs: null, idle: false, endAgeMs: null, lastRecordMs: null, markMs: Number.NaN, countedUntilMs: null };
      this.#list.push({ topic, partition, stream, partitions, origin: -1, position: 0, ...unknown });
      this.#changed.add(index);
    }
    return index;
  }

  /**
   * Takes the mark of a record once all parts of its emission are there. Null while some are missing, and for one that is
   * older than what is known; else whether the source has advanced.
   */
  arrived(index: number, header: PartialHeader, markMs: number): boolean | null {
    if (!this.#complete(index, header)) return null;
    const before = this.#follow(index, header, markMs);
    const source = this.#list[index];
    if (header.origin < source.origin || (header.origin === source.origin && header.position < source.position)) return null;
    const advanced = header.position > source.position;
    if (source.origin >= 0 && header.origin > source.origin) this.lost.add(index);
    const { origin, position, watermarkMs, idle, endAgeMs, lastRecordMs, partitions } = header;
    // A watermark never goes back, also when the source has lost its state.
    const kept = Math.max(source.watermarkMs ?? Number.NEGATIVE_INFINITY, watermarkMs ?? Number.NEGATIVE_INFINITY);
    if (advanced || origin !== source.origin || idle !== source.idle) this.#version++;
    const countedUntilMs = latest(source.countedUntilMs, lastRecordMs, before === null || endAgeMs === null ? null : before - endAgeMs);
    if (countedUntilMs !== source.countedUntilMs) this.#counted.add(index);
    const mark = { origin, position, idle, endAgeMs, lastRecordMs, partitions, markMs, countedUntilMs };
    Object.assign(source, mark, { watermarkMs: Number.isFinite(kept) ? kept : null });
    this.#changed.add(index);
    return advanced;
  }

  /** The stream's watermark: the least of its source partitions, idle ones left out; null while one is unknown or lagging. */
  watermarkMs(stream: Stream): number | null {
    let least = Number.POSITIVE_INFINITY;
    for (const source of this.#heardOf(stream) ?? [null]) {
      if (source === null) return null;
      if (source.idle) continue;
      if (source.watermarkMs === null) return null;
      least = Math.min(least, source.watermarkMs);
    }
    return Number.isFinite(least) ? least : this.#idleWatermarkMs(stream);
  }

  /**
   * No source of the stream can contribute to an event time before this, but for idle ones that have never accepted anything
   * (`someUnseen`); null while one has not been heard of.
   */
  floorMs(stream: Stream): number | null {
    let least = Number.POSITIVE_INFINITY;
    for (const source of this.#heardOf(stream) ?? [null]) {
      if (source === null || (source.watermarkMs === null && !source.idle)) return null;
      if (source.watermarkMs !== null) least = Math.min(least, source.watermarkMs);
    }
    return Number.isFinite(least) ? least : null;
  }

  /** Every record of the stream whose Kafka time is before this is counted; null while one of its partitions has not said. */
  countedUntilMs(stream: Stream): number | null {
    let least = Number.POSITIVE_INFINITY;
    for (const source of this.#heardOf(stream) ?? []) {
      if (source.countedUntilMs === null) return null;
      least = Math.min(least, source.countedUntilMs);
    }
    return Number.isFinite(least) ? least : null;
  }

  /** Whether a source of the stream has accepted nothing so far. */
  someUnseen(stream: Stream): boolean {
    return this.#list.some((source) => source.stream === stream && source.watermarkMs === null);
  }

  /** The source that holds the stream's watermark back, or null. */
  holder(stream: Stream): SourceProgress | null {
    const running = this.#list.filter((source) => source.stream === stream && !source.idle);
    return running.reduce<SourceProgress | null>(
      (least, source) => ((source.watermarkMs ?? -1) < (least?.watermarkMs ?? Number.POSITIVE_INFINITY) ? source : least),
      null,
    );
  }

  #writeCounted(to: ByteWriter): void {
    for (const index of this.#counted) {
      to.varint(index);
      to.f64(this.#list[index].countedUntilMs ?? Number.NaN);
    }
    this.#counted.clear();
  }

  #readCounted(from: ByteReader): void {
    while (!from.done) {
      const source = this.#list[from.varint()];
      source.countedUntilMs = numberOrNull(from);
    }
  }

  /** All of them are to be written again. */
  touchAll(): void {
    for (const index of this.#list.keys()) this.#changed.add(index);
  }

  writeChanged(to: ByteWriter): void {
    to.varint(this.#changed.size);
    for (const index of this.#changed) {
      const source = this.#list[index];
      to.varint(index);
      to.string(source.topic);
      to.varint(source.partition);
      to.u8(STREAMS.indexOf(source.stream));
      to.varint(source.partitions);
      to.varint(source.origin + 1);
      to.varint(source.position);
      to.f64(source.watermarkMs ?? Number.NaN);
      to.u8(source.idle ? 1 : 0);
      to.f64(source.endAgeMs ?? Number.NaN);
      to.f64(source.lastRecordMs ?? Number.NaN);
      to.f64(source.markMs);
      to.u8(this.lost.has(index) ? 1 : 0);
    }
    this.#changed.clear();
  }

  readChanged(from: ByteReader): void {
    for (let left = from.varint(); left > 0; left--) {
      const index = from.varint();
      const name = { topic: from.string(), partition: from.varint(), stream: STREAMS[from.u8()], partitions: from.varint() };
      const progress = { origin: from.varint() - 1, position: from.varint(), watermarkMs: numberOrNull(from), idle: from.u8() === 1 };
      const ages = { endAgeMs: numberOrNull(from), lastRecordMs: numberOrNull(from), markMs: from.f64() };
      const countedUntilMs = latest(this.#list[index]?.countedUntilMs ?? null, ages.lastRecordMs);
      this.#list[index] = { ...name, ...progress, ...ages, countedUntilMs };
      this.#byName.set(`${name.topic}/${name.partition}`, index);
      if (from.u8() === 1) this.lost.add(index);
    }
  }

  /** Emissions of which parts are still missing: a restart in their midst must see them end at the same record. */
  writeArriving(to: ByteWriter): void {
    for (const [index, { claim, emission, seen }] of this.#arriving) {
      for (const number of [index, claim, emission, seen.size, ...seen]) to.varint(number);
    }
  }

  /** As of this commit, whatever was arriving before. */
  readArriving(from: ByteReader | null): void {
    this.#arriving.clear();
    while (from !== null && !from.done) {
      const index = from.varint();
      const arriving: Arriving = { claim: from.varint(), emission: from.varint(), seen: new Set() };
      for (let left = from.varint(); left > 0; left--) arriving.seen.add(from.varint());
      this.#arriving.set(index, arriving);
    }
  }

  /** All sources of a stream, or null while one of its partitions has not sent a mark. */
  #heardOf(stream: Stream): SourceProgress[] | null {
    const heard = this.#list.filter((source) => source.stream === stream && source.origin >= 0);
    return heard.length > 0 && heard.length >= heard[0].partitions ? heard : null;
  }

  #idleWatermarkMs(stream: Stream): number | null {
    const known = this.#list.filter((source) => source.stream === stream && source.watermarkMs !== null);
    return known.length === 0 ? null : Math.max(...known.map((source) => source.watermarkMs ?? 0));
  }

  /**
   * The Kafka time of the emission just before this one, null when it is not known: its acknowledgement is what an age in this one
   * is measured from. A repeat arrives later than it was acknowledged, so the first arrival counts.
   */
  #follow(index: number, { claim, emission }: PartialHeader, markMs: number): number | null {
    const last = this.#emitted.get(index);
    if (last?.claim === claim && last.emission >= emission) return null;
    this.#emitted.set(index, { claim, emission, markMs });
    const follows = last?.claim === claim && last.emission === emission - 1 && Number.isFinite(last.markMs);
    return follows ? last.markMs : null;
  }

  #complete(index: number, header: PartialHeader): boolean {
    if (header.parts === 1) return true;
    let arriving = this.#arriving.get(index);
    if (arriving === undefined || arriving.claim !== header.claim || arriving.emission !== header.emission) {
      arriving = { claim: header.claim, emission: header.emission, seen: new Set() };
      this.#arriving.set(index, arriving);
    }
    arriving.seen.add(header.part);
    if (arriving.seen.size < header.parts) return false;
    this.#arriving.delete(index);
    return true;
  }
}

const latest = (...times: readonly (number | null)[]): number | null =>
  times.reduce((last, ms) => (ms !== null && (last === null || ms > last) ? ms : last), null);

const numberOrNull = (from: ByteReader): number | null => {
  const value = from.f64();
  return Number.isNaN(value) ? null : value;
};
