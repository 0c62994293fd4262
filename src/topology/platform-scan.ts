/**
 * What one partition's campaigns spent in some hours, with the largest of them by campaign, advertiser and surface. It is
 * added up a slice at a time, for a hundred thousand campaigns at once would hold up everything else.
 */
import { type Part, SPLITS, type Split } from '../pacing/platform.ts';
import type { CellTable } from '../state/cells.ts';
import type { GroupName } from './partials.ts';

const SLOTS_PER_HOUR = 4;
const DAY_HOURS = 24;
/** Of each split, the largest of a partition. */
const NAMED = 20;

export interface Told {
  hour: number;
  micros: number;
  parts: Record<Split, Part[]>;
}

export interface ScanParts {
  groups: readonly GroupName[];
  spend: CellTable;
  surfaceSpend: CellTable;
  advertiserOf(campaignId: string): string;
}

class HourScan {
  readonly #hour: number;
  readonly #parts: ScanParts;
  #micros = 0;
  readonly #campaigns = new Largest();
  readonly #surfaces = new Largest();
  readonly #advertisers = new Map<string, Part>();

  constructor(hour: number, parts: ScanParts) {
    this.#hour = hour;
    this.#parts = parts;
  }

  add(group: number): void {
    const { groups, spend, surfaceSpend, advertiserOf } = this.#parts;
    const yesterdayHour = this.#hour - DAY_HOURS;
    const name = groups[group].entity;
    const part = { name, micros: spentIn(spend, group, this.#hour), yesterday: spentIn(spend, group, yesterdayHour) };
    if (part.micros > 0 || part.yesterday > 0) {
      this.#micros += part.micros;
      this.#campaigns.add(part);
      addPart(this.#advertisers, { ...part, name: advertiserOf(name) });
    }
    const surface = { name, micros: cellOf(surfaceSpend, group, this.#hour), yesterday: cellOf(surfaceSpend, group, yesterdayHour) };
    if (surface.micros > 0 || surface.yesterday > 0) this.#surfaces.add(surface);
  }

  told(): Told {
    const advertisers = largest(this.#advertisers.values());
    return {
      hour: this.#hour,
      micros: this.#micros,
      parts: { campaign: this.#campaigns.parts, advertiser: advertisers, surface: this.#surfaces.parts },
    };
  }
}

export class PlatformScan {
  readonly #groups: readonly GroupName[];
  readonly #hours: HourScan[];
  #next = 0;

  constructor(hours: readonly number[], parts: ScanParts) {
    this.#groups = parts.groups;
    this.#hours = hours.map((hour) => new HourScan(hour, parts));
  }

  get hours(): number {
    return this.#hours.length;
  }

  /** Looks at so many more groups; what they told once all are done, else null. */
  go(groups: number): Told[] | null {
    const end = Math.min(this.#groups.length, this.#next + groups);
    for (; this.#next < end; this.#next++) for (const hour of this.#hours) hour.add(this.#next);
    return this.#next < this.#groups.length ? null : this.#hours.map((hour) => hour.told());
  }
}

function spentIn(spend: CellTable, group: number, hour: number): number {
  let micros = 0;
  for (let slot = hour * SLOTS_PER_HOUR; slot < (hour + 1) * SLOTS_PER_HOUR; slot++) micros += cellOf(spend, group, slot);
  return micros;
}

const cellOf = (table: CellTable, group: number, time: number): number => {
  const index = table.find(group, 0, time);
  return index === -1 ? 0 : table.get(index, 0);
};

/** By how much more than yesterday; the same in whatever order they come. */
const isLarger = (one: Part, other: Part): boolean => {
  const more = one.micros - one.yesterday - (other.micros - other.yesterday);
  return more > 0 || (more === 0 && one.name < other.name);
};

/** The few largest of many, in order. */
class Largest {
  readonly parts: Part[] = [];

  add(part: Part): void {
    if (this.parts.length === NAMED && !isLarger(part, this.parts[NAMED - 1])) return;
    const at = this.parts.findIndex((other) => isLarger(part, other));
    this.parts.splice(at === -1 ? this.parts.length : at, 0, part);
    if (this.parts.length > NAMED) this.parts.pop();
  }
}

function largest(parts: Iterable<Part>): Part[] {
  const few = new Largest();
  for (const part of parts) few.add(part);
  return few.parts;
}

function addPart(to: Map<string, Part>, { name, micros, yesterday }: Part): void {
  const known = to.get(name);
  if (known === undefined) to.set(name, { name, micros, yesterday });
  else {
    known.micros += micros;
    known.yesterday += yesterday;
  }
}

/** Adds what another partition told of an hour. */
export function addTold(to: Map<number, Told>, { hour, micros, parts }: Told): void {
  const known = to.get(hour) ?? { hour, micros: 0, parts: { campaign: [], advertiser: [], surface: [] } };
  to.set(hour, known);
  known.micros += micros;
  for (const split of SPLITS) {
    const sums = new Map(known.parts[split].map((part) => [part.name, part]));
    for (const part of parts[split]) addPart(sums, part);
    known.parts[split] = largest(sums.values());
  }
}
