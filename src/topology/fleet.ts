/**
 * What decisions over the whole fleet (e-BH over experiments, spend of the platform) know of every partition: each
 * evaluate task tells the owner of `.partials` partition 0, itself included, through that partition. So they follow from
 * one log, in one order.
 *
 * A fleet record is one section of one sender, absolute: the latest by the sender's (epoch, version) replaces the one
 * before; a repeat or a zombie's older one changes nothing. It is sent when its bytes have changed (at most once a second)
 * and once a minute besides, which heals a partition 0 that has lost its state.
 */
import { StreamError } from '../errors.ts';
import { ByteReader, ByteWriter } from '../state/bytes.ts';
import { SECTIONS, type Section } from './evaluate-sections.ts';
import type { Now, OutRecord } from './types.ts';

export const FLEET_MAGIC = 0xe7;
const FORMAT = 1;
const SEND_MS = 1000;
const REPEAT_MS = 60_000;
/** A record of Kafka takes 1 MB: what is said must be cut (the largest e-values, the largest spenders) to stay below. */
export const MAX_FLEET_BYTES = 900_000;

/** Numbers of fleet sections: never given to something else. 1–9 experiments · 10–19 pacing. */
export interface FleetSection {
  readonly id: number;
  /** All that the fleet must know of this partition; nothing when there is nothing. Deterministic in its order. */
  write(out: ByteWriter): void;
}

/** Who says it, and where in its own log. */
export interface FleetSender {
  partition: number;
  epoch: number;
  version: number;
}

interface Said extends FleetSender {
  bytes: Uint8Array;
}

/** What all partitions have said last, as partition 0 knows it. */
export class Fleet implements Section {
  readonly id = SECTIONS.fleet;
  /** By section, by partition. */
  readonly #said = new Map<number, Map<number, Said>>();
  readonly #changed = new Set<Said>();

  /** The latest of each partition, in order of partitions: readers begin at the start of what `FleetSection.write` wrote. */
  latest(section: number): { partition: number; from: ByteReader }[] {
    const said = [...(this.#said.get(section)?.values() ?? [])].sort((a, b) => a.partition - b.partition);
    return said.map(({ partition, bytes }) => ({ partition, from: new ByteReader(bytes) }));
  }

  /**
   * Takes a record; its first byte is FLEET_MAGIC. True when it says something new.
   * @throws StreamError partial_format when it is newer than this program
   */
  take(from: ByteReader): boolean {
    from.u8();
    const format = from.u8();
    if (format > FORMAT) {
      throw new StreamError(
        'partial_format',
        `a fleet record in .partials has format ${format}, this program reads up to ${FORMAT}: upgrade it`,
      );
    }
    const section = from.varint();
    return this.#keep(section, readSaid(from));
  }

  write(out: ByteWriter): void {
    for (const [section, bySender] of this.#said)
      for (const said of bySender.values()) {
        if (!this.#changed.has(said)) continue;
        out.varint(section);
        writeSaid(out, said);
      }
    this.#changed.clear();
  }

  read(from: ByteReader): void {
    while (!from.done) this.#keep(from.varint(), readSaid(from));
    this.#changed.clear();
  }

  touchAll(): void {
    for (const bySender of this.#said.values()) for (const said of bySender.values()) this.#changed.add(said);
  }

  #keep(section: number, said: Said): boolean {
    let bySender = this.#said.get(section);
    if (bySender === undefined) {
      bySender = new Map();
      this.#said.set(section, bySender);
    }
    const before = bySender.get(said.partition);
    if (before && (said.epoch < before.epoch || (said.epoch === before.epoch && said.version < before.version))) return false;
    bySender.set(said.partition, said);
    if (before) this.#changed.delete(before);
    this.#changed.add(said);
    return before === undefined || !sameBytes(before.bytes, said.bytes);
  }
}

/** What one task has told partition 0, and when it must again. */
export class FleetTeller {
  readonly #topic: string;
  readonly #told = new Map<number, { bytes: Uint8Array; atMs: number }>();
  #askedMs = Number.NEGATIVE_INFINITY;

  /** @param topic `.partials` */
  constructor(topic: string) {
    this.#topic = topic;
  }

  /** Records to be sent now; a rejected send is made good within a minute, or by the task that opens its state again. */
  tell(now: Now, sender: FleetSender, sections: readonly FleetSection[]): OutRecord[] {
    if (sections.length === 0 || now.monotonicMs - this.#askedMs < SEND_MS) return [];
    this.#askedMs = now.monotonicMs;
    return sections.flatMap((section) => this.#record(now, sender, section));
  }

  #record(now: Now, sender: FleetSender, section: FleetSection): OutRecord[] {
    const { id } = section;
    const body = new ByteWriter();
    section.write(body);
    const bytes = body.take();
    if (bytes.length > MAX_FLEET_BYTES) throw new RangeError(`fleet section ${id} has ${bytes.length} bytes`);
    const told = this.#told.get(id);
    const isNew = told === undefined ? bytes.length > 0 : !sameBytes(told.bytes, bytes);
    const isOld = told !== undefined && now.monotonicMs - told.atMs >= REPEAT_MS;
    if (!isNew && !isOld) return [];
    this.#told.set(id, { bytes, atMs: now.monotonicMs });
    return [{ topic: this.#topic, partition: 0, key: null, value: fleetRecord(id, { ...sender, bytes }) }];
  }
}

function fleetRecord(section: number, said: Said): Uint8Array {
  const out = new ByteWriter(said.bytes.length + 64);
  out.u8(FLEET_MAGIC);
  out.u8(FORMAT);
  out.varint(section);
  writeSaid(out, said);
  return out.take();
}

function writeSaid(out: ByteWriter, { partition, epoch, version, bytes }: Said): void {
  out.varint(partition);
  out.varint(epoch);
  out.varint(version);
  out.varint(bytes.length);
  out.bytes(bytes);
}

/** A copy: the buffer read from is somebody else's. */
const readSaid = (from: ByteReader): Said => ({
  partition: from.varint(),
  epoch: from.varint(),
  version: from.varint(),
  bytes: from.bytes(from.varint()).slice(),
});

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);
