/** One topic's traffic: fresh events at their times, and copies of them that fall due in between. */
import { STREAMS, type Stream } from '../topology/types.ts';
import { Agenda } from './agenda.ts';
import { BREAKS } from './broken.ts';
import { Encoder } from './bytes.ts';
import { unusualForm } from './forms.ts';
import { type Content, type Maker, makerOf } from './makers.ts';
import type { Meant } from './meant.ts';
import { fixedFraction, Random } from './random.ts';
import type { TrafficSettings } from './settings.ts';
import { StreamTruth } from './stream-truth.ts';
import { type Lateness, lateness, slotMs } from './times.ts';
import type { World } from './world.ts';

export interface SourceRecord {
  topic: Stream;
  partition: number;
  key: Uint8Array | null;
  value: Uint8Array | null;
  /** Kafka's timestamp, epoch ms. */
  timestampMs: number;
  /** The value is a compact JSON object that parsing and writing again does not change. */
  plain: boolean;
}

/** What a fresh record is, with the setting that says how many there are. */
const FRESH = ['disorder', 'lateInside', 'late', 'ahead', 'skew', 'malformed'] as const;
type Fresh = (typeof FRESH)[number] | 'plain';
/** What repeats an earlier record. */
const COPIES = ['duplicate', 'restamped', 'twin', 'reusedId'] as const;
type Copy = (typeof COPIES)[number];

interface Due {
  copy: Copy;
  meant: Meant;
  /** Whether the original of a re-stamped copy was accepted. */
  originalAccepted: boolean;
}

const SECOND = 1000;
const FORM_LANE = 7;
/** A new event that takes over the id of an invalid one follows it within a minute, this often. */
const REPAIRED = 0.25;
const HEX = Array.from({ length: 65_536 }, (_, i) => i.toString(16).padStart(4, '0'));

export class StreamTraffic {
  readonly truth: StreamTruth;
  /** Kafka time of the next record; Infinity after the last. */
  nextMs = Infinity;
  private readonly stream: Stream;
  private readonly settings: TrafficSettings;
  private readonly random: Random;
  private readonly maker: Maker;
  private readonly lateness: Lateness;
  private readonly agenda = new Agenda<Due>();
  private readonly encoder = new Encoder();
  private readonly breaks: ((text: string) => Uint8Array | string | null)[];
  private readonly endMs: number;
  /** Records still to be sent, all told. */
  private left: number;
  /** Fresh records planned, and made so far. */
  private readonly planned: number;
  private fresh = 0;
  private freshMs = 0;
  private events = 0;
  private readonly idHead: string;
  private readonly idTail: string;
  private readonly freshLeft: Record<Fresh, number>;
  private readonly copiesLeft: Record<Copy, number>;

  constructor(stream: Stream, settings: TrafficSettings, world: World) {
    this.stream = stream;
    this.settings = settings;
    this.random = new Random(settings.seed, STREAMS.indexOf(stream) + 1);
    this.idHead = this.hex() + this.hex();
    this.idTail = `${this.hex()}-${this.hex()}${this.hex()}`;
    this.maker = makerOf(stream, settings, world, this.random);
    this.lateness = lateness(settings, this.random);
    this.truth = new StreamTruth(settings, stream);
    this.breaks = Object.values(BREAKS[stream]);
    this.endMs = settings.baseMs + settings.spanMs;
    this.left = settings[stream];
    const quota = (name: keyof TrafficSettings) => Math.round(this.left * settings[name]);
    this.copiesLeft = {
      duplicate: quota('duplicateShare'),
      restamped: quota('restampedShare'),
      twin: quota('twinShare'),
      reusedId: quota('reusedIdShare'),
    };
    this.planned = this.left - sum(this.copiesLeft);
    const faults = Object.fromEntries(FRESH.map((fresh) => [fresh, quota(`${fresh}Share`)])) as Record<Fresh, number>;
    this.freshLeft = { ...faults, plain: this.planned - sum(faults) };
    this.planFresh();
    this.findNext();
  }

  /** The next record; only while `nextMs` is finite. */
  take(): SourceRecord {
    const record = this.agenda.nextMs <= this.freshMs ? this.takeDue() : this.takeFresh();
    this.left--;
    this.findNext();
    return record;
  }

  private findNext(): void {
    this.nextMs = this.left === 0 ? Infinity : Math.min(this.agenda.nextMs, this.freshMs);
  }

  private planFresh(): void {
    this.freshMs = this.fresh < this.planned ? slotMs(this.settings, (this.fresh + this.random.fraction()) / this.planned) : this.endMs;
  }

  private takeDue(): SourceRecord {
    const atMs = this.agenda.nextMs;
    const { copy, meant, originalAccepted } = this.agenda.take();
    const { partition } = this.maker.keyed(meant);
    const { disposition, offset } = this.truth.judge(partition, atMs, meant);
    if (copy === 'restamped') this.truth.noteRestamped(partition, offset, originalAccepted && disposition === 'accepted');
    return this.record(meant, atMs);
  }

  private takeFresh(): SourceRecord {
    const atMs = this.freshMs;
    const kind = this.drawKind();
    this.fresh++;
    this.planFresh();
    const content = this.maker.draw(atMs);
    const watermarkMs = this.truth.watermarkMs(this.maker.keyed(content).partition);
    const eventMs = Math.max(0, Math.floor(this.lateness[kind](atMs, watermarkMs)));
    const meant = this.newEvent(content, eventMs, atMs);
    if (kind === 'malformed') return this.broken(meant, atMs);
    const { partition } = this.maker.keyed(meant);
    const { disposition } = this.truth.judge(partition, atMs, meant);
    if (disposition === 'invalid') this.planRepair(meant, atMs);
    else this.planCopies(meant, atMs, disposition === 'accepted');
    return this.record(meant, atMs);
  }

  /** Drawn without putting back, so that every share is met exactly. */
  private drawKind(): Fresh {
    const { freshLeft } = this;
    let place = this.random.fraction() * Math.max(1, this.planned - this.fresh);
    for (const kind of FRESH) {
      if (place < freshLeft[kind]) {
        freshLeft[kind]--;
        return kind;
      }
      place -= freshLeft[kind];
    }
    return 'plain';
  }

  private planCopies(meant: Meant, atMs: number, accepted: boolean): void {
    const { copiesLeft, random } = this;
    let place = random.fraction() * Math.max(1, this.planned - this.fresh + 1);
    for (const copy of COPIES) {
      if (place < copiesLeft[copy]) {
        this.planCopy(copy, meant, atMs, accepted);
        return;
      }
      place -= copiesLeft[copy];
    }
  }

  private planCopy(copy: Copy, meant: Meant, atMs: number, accepted: boolean): void {
    const { random } = this;
    if (copy === 'duplicate') {
      this.planDuplicate(meant, atMs);
    } else if (copy === 'reusedId') {
      const dueMs = atMs + this.lateness.pastTtlMs();
      if (dueMs <= this.endMs) this.put('reusedId', { ...meant, eventMs: dueMs, receivedMs: dueMs }, dueMs, false);
    } else if (meant.actor >= 0 && accepted) {
      const dueMs = atMs + random.whole(copy === 'twin' ? 0 : 100, copy === 'twin' ? 300 : 900);
      const content = copy === 'twin' ? this.maker.twin(meant) : meant;
      const eventMs = copy === 'twin' ? Math.floor(meant.eventMs / SECOND) * SECOND + random.whole(0, SECOND) : meant.eventMs;
      this.put(copy, this.newEvent(content, eventMs, dueMs), dueMs, accepted);
    }
  }

  private planDuplicate(meant: Meant, atMs: number): void {
    const { random, settings } = this;
    // Now and then a record comes three times.
    for (let copies = random.chance(0.05) ? 2 : 1; copies > 0 && this.copiesLeft.duplicate > 0; copies--) {
      const dueMs = atMs + Math.floor(Math.min(this.lateness.copyDelayMs(), random.fraction() * (this.endMs - atMs)));
      const copy = random.chance(settings.changedShare)
        ? { ...meant, ...this.maker.changed(meant), eventMs: dueMs + Math.floor(0.8 * settings.maxFutureSkewMs) }
        : meant;
      this.put('duplicate', copy, dueMs, false);
    }
  }

  /** The same id with a right time: the invalid record must have left nothing behind. */
  private planRepair(meant: Meant, atMs: number): void {
    if (this.copiesLeft.reusedId === 0 || !this.random.chance(REPAIRED)) return;
    const dueMs = atMs + this.random.whole(SECOND, 60 * SECOND);
    this.put('reusedId', { ...meant, eventMs: dueMs, receivedMs: dueMs }, dueMs, false);
  }

  private put(copy: Copy, meant: Meant, dueMs: number, originalAccepted: boolean): void {
    this.copiesLeft[copy]--;
    const atMs = Math.min(this.maker.silence.after(this.maker.keyed(meant).partition, dueMs), this.endMs);
    this.agenda.put(atMs, { copy, meant, originalAccepted });
  }

  private broken(meant: Meant, timestampMs: number): SourceRecord {
    const { key, partition } = this.maker.keyed(meant);
    this.truth.judge(partition, timestampMs, null);
    this.planRepair(meant, timestampMs);
    const text = this.maker.text(meant);
    const topic = this.stream;
    // A null key is one more way: a valid value that nothing ties to a partition.
    const way = this.random.whole(0, this.breaks.length + 1);
    if (way === this.breaks.length) return { topic, partition, key: null, value: this.encoder.encode(text), timestampMs, plain: true };
    const broken = this.breaks[way](text);
    const value = typeof broken === 'string' ? this.encoder.encode(broken) : broken;
    return { topic, partition, key, value, timestampMs, plain: false };
  }

  private record(meant: Meant, timestampMs: number): SourceRecord {
    const { key, partition } = this.maker.keyed(meant);
    const text = this.maker.text(meant);
    // Decided by the event alone, so that a copy has the same bytes.
    const place = fixedFraction(this.settings.seed, meant.event, FORM_LANE);
    const plain = place >= this.settings.unusualShare;
    const value = this.encoder.encode(plain ? text : unusualForm(text, meant.event));
    return { topic: this.stream, partition, key, value, timestampMs, plain };
  }

  private hex(): string {
    return HEX[this.random.bits() >>> 16];
  }

  // Field by field: spreading costs more than all the rest of a record's making.
  private newEvent(content: Content, eventMs: number, receivedMs: number): Meant {
    const event = this.events++;
    return {
      event,
      eventId: this.eventId(event),
      eventMs,
      receivedMs,
      entity: content.entity,
      actor: content.actor,
      detail: content.detail,
      spendMicros: content.spendMicros,
      isValid: content.isValid,
      allocationVersion: content.allocationVersion,
    };
  }

  /** Shaped like a UUID; the event's number in the middle makes it unlike all others of its topic. */
  private eventId(event: number): string {
    return `${this.idHead}-${HEX[event >>> 16]}-${HEX[event & 0xffff]}-${this.idTail}${HEX[this.random.bits() >>> 16]}`;
  }
}

const sum = (counts: Record<string, number>): number => Object.values(counts).reduce((total, count) => total + count, 0);
