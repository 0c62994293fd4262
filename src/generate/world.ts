/** Who and what the traffic is about: campaigns, experiments, units, and which partitions they fall on. */
import { partitionOf } from '../topology/sources/murmur2.ts';
import { fixedFraction } from './random.ts';
import type { TrafficSettings } from './settings.ts';

/** An id that is a Kafka key. */
export interface Keyed {
  id: string;
  /** The id as JSON text, quotes included. */
  json: string;
  key: Uint8Array;
  partition: number;
}

export const SURFACES = ['web', 'app', 'ctv', 'audio'] as const;

const ODD_IDS = [
  'Ключ-',
  '日本語 ',
  'a{b}c-',
  '}{',
  'x:y:2026-01-01:',
  'quote"back\\slash-',
  '__proto__',
  ' space ',
  'tab\t',
  '🙂🙃',
  'e\u0301-',
  'É',
];
const CAMPAIGN_LANE = 1;
const UNIT_LANE = 2;
const CONTAMINATED_LANE = 1000;

/** When the partitions of a topic are silent. */
export class Silence {
  private readonly pausing = new Set<number>();
  private readonly empty = new Set<number>();
  private readonly fromMs: number;
  private readonly untilMs: number;

  /** `busiest` (-1: none) is never silent. */
  constructor(settings: TrafficSettings, busiest: number) {
    this.fromMs = settings.baseMs + Math.floor(0.4 * settings.spanMs);
    this.untilMs = settings.baseMs + Math.floor(0.7 * settings.spanMs);
    for (let p = settings.partitions - 1; this.pausing.size + this.empty.size < settings.idlePartitions && p >= 0; p--)
      if (p !== busiest) (this.pausing.size > this.empty.size ? this.empty : this.pausing).add(p);
  }

  covers(partition: number, atMs: number): boolean {
    return this.empty.has(partition) || (this.pausing.has(partition) && atMs >= this.fromMs && atMs < this.untilMs);
  }

  /** That time, or the end of the pause that covers it. */
  after(partition: number, atMs: number): number {
    return this.pausing.has(partition) && this.covers(partition, atMs) ? this.untilMs : atMs;
  }
}

export class World {
  readonly campaigns: readonly Keyed[];
  readonly experiments: readonly string[];
  /** The same in every experiment. */
  readonly variants: readonly string[];
  private readonly units: (Keyed | undefined)[];
  private readonly popularity: Float64Array;
  private readonly settings: TrafficSettings;

  constructor(settings: TrafficSettings) {
    this.settings = settings;
    // Of full length from the start: filled at random places, an empty array would become a hash table.
    this.units = new Array<Keyed | undefined>(settings.units).fill(undefined);
    this.campaigns = Array.from({ length: settings.campaigns }, (_, i) => this.keyed('cmp', i, CAMPAIGN_LANE));
    this.experiments = Array.from({ length: settings.experiments }, (_, i) => `exp-${String(i).padStart(3, '0')}`);
    this.variants = Array.from({ length: settings.variants }, (_, i) => (i === 0 ? 'control' : `treatment-${String.fromCharCode(96 + i)}`));
    this.popularity = cumulativeZipf(settings.campaigns, settings.hotKeySkew);
  }

  unit(index: number): Keyed {
    const known = this.units[index];
    if (known !== undefined) return known;
    const unit = this.keyed('unit', index, UNIT_LANE);
    this.units[index] = unit;
    return unit;
  }

  /** The campaign at that place, 0…1, of the cumulative popularity. */
  campaignAt(place: number): number {
    const { popularity } = this;
    let low = 0;
    let high = popularity.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (popularity[middle] > place) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The variant that a unit belongs to. */
  homeVariant(experiment: number, unit: number): number {
    return Math.floor(fixedFraction(this.settings.seed + experiment, unit, experiment) * this.settings.variants);
  }

  isContaminated(experiment: number, unit: number): boolean {
    return fixedFraction(this.settings.seed, unit, experiment + CONTAMINATED_LANE) < this.settings.contaminatedShare;
  }

  private keyed(prefix: string, index: number, lane: number): Keyed {
    // The first of each is never odd: the hottest campaign has a readable name.
    const odd = index > 0 && fixedFraction(this.settings.seed, index, lane) < this.settings.oddIdShare;
    const id = odd ? `${ODD_IDS[index % ODD_IDS.length]}${index}` : `${prefix}-${String(index).padStart(5, '0')}`;
    const key = Buffer.from(id);
    return { id, json: JSON.stringify(id), key, partition: partitionOf(key, 0, key.length, this.settings.partitions) };
  }
}

const cumulativeZipf = (count: number, exponent: number): Float64Array => {
  const cumulative = new Float64Array(count);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += (i + 1) ** -exponent;
    cumulative[i] = sum;
  }
  return cumulative.map((value) => value / sum);
};
