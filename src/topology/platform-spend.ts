/**
 * Spend of all campaigns together. Each task tells the owner of `.partials` partition 0 what its campaigns spent in the last
 * hours, with the largest of them by campaign, advertiser and surface; the owner adds up, remembers two weeks, and raises.
 */
import type { AlertBook } from '../alerts/book.ts';
import { expectedOf, isTooMuch, type Part, type PlatformHour, platformDraft, SPLITS, type Split } from '../pacing/platform.ts';
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { CellTable } from '../state/cells.ts';
import type { Pacing } from './evaluate-pacing.ts';
import type { EvaluatePart } from './evaluate-part.ts';
import { SECTIONS, type Section } from './evaluate-sections.ts';
import type { EvaluateState } from './evaluate-state.ts';
import type { FleetSection } from './fleet.ts';
import type { Now } from './types.ts';

const LOOK_MS = 10_000;
const HOUR_MS = 3_600_000;
const SLOTS_PER_HOUR = 4;
const DAY_HOURS = 24;
/** Late impressions change the last hours; older ones are final. */
const TOLD_HOURS = 3;
/** Of each split, the largest of a partition. */
const NAMED = 20;
const KEPT_HOURS = 15 * 24;
const FLEET_ID = 10;

interface Told {
  hour: number;
  micros: number;
  parts: Record<Split, Part[]>;
}

export class PlatformSpend implements EvaluatePart {
  readonly fleet: FleetSection = { id: FLEET_ID, write: (out) => this.#told !== '' && out.string(this.#told) };
  readonly section: Section;
  readonly #parts: { pacing: Pacing; state: EvaluateState; alerts: AlertBook; partition: number };
  /** Total of each hour, oldest first; in partition 0 only. */
  readonly #history = new Map<number, number>();
  readonly #changed = new Set<number>();
  /** JSON; nothing before the first look. */
  #told = '';
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(parts: { pacing: Pacing; state: EvaluateState; alerts: AlertBook; partition: number }) {
    this.#parts = parts;
    this.section = {
      id: SECTIONS.platform,
      write: (out) => this.#write(out),
      read: (from) => this.#read(from),
      touchAll: () => {
        for (const hour of this.#history.keys()) this.#changed.add(hour);
      },
    };
  }

  ticked(now: Now): void {
    const { pacing, partition } = this.#parts;
    const nowMs = pacing.redisMs(now);
    if (nowMs === null || now.monotonicMs - this.#lookedMs < LOOK_MS) return;
    this.#lookedMs = now.monotonicMs;
    const hour = Math.floor(nowMs / HOUR_MS);
    if (hour < DAY_HOURS) return; // a Redis that stands at the epoch has no yesterday
    this.#told = JSON.stringify(Array.from({ length: TOLD_HOURS }, (_, i) => this.#own(hour - i)));
    if (partition === 0) this.#judge(hour, nowMs);
  }

  #judge(hour: number, nowMs: number): void {
    const { state, alerts, pacing } = this.#parts;
    const sums = new Map<number, Told>();
    for (const { from } of state.fleet.latest(FLEET_ID)) for (const one of readTold(from)) addTold(sums, one);
    for (const { hour: of, micros } of [...sums.values()].sort((a, b) => a.hour - b.hour)) this.#remember(of, micros);
    const expected = expectedOf(hour, pacing.forecast, this.#history);
    pacing.expectedOfPlatform = expected;
    const { countedUntilMs } = pacing;
    const subject = { kind: 'platform', id: 'all' } as const;
    const seen = sums.get(hour);
    if (expected.micros === null || seen === undefined || countedUntilMs === null) {
      alerts.clear('platform_spend', subject, nowMs);
      return;
    }
    const elapsed = Math.min(1, Math.max(0, countedUntilMs / HOUR_MS - hour));
    const platformHour: PlatformHour = { ...seen, elapsed };
    if (isTooMuch(platformHour, expected.micros)) alerts.raise(platformDraft(platformHour, expected), nowMs);
    else alerts.clear('platform_spend', subject, nowMs);
  }

  #remember(hour: number, micros: number): void {
    if (this.#history.get(hour) === micros) return;
    this.#history.set(hour, micros);
    this.#changed.add(hour);
    for (const old of this.#history.keys()) {
      if (old > hour - KEPT_HOURS) break;
      this.#history.delete(old);
    }
  }

  /** What this partition's campaigns spent in an hour. */
  #own(hour: number): Told {
    const { state, pacing } = this.#parts;
    const { spend, surfaceSpend } = state.totals;
    const campaigns: Part[] = [];
    const surfaces: Part[] = [];
    const advertisers = new Map<string, Part>();
    let micros = 0;
    state.groups.forEach(({ entity }, group) => {
      const part = { name: entity, micros: spentIn(spend, group, hour), yesterday: spentIn(spend, group, hour - DAY_HOURS) };
      if (part.micros > 0 || part.yesterday > 0) {
        micros += part.micros;
        campaigns.push(part);
        addPart(advertisers, { ...part, name: pacing.advertiserOf(entity) });
      }
      const surface = { name: entity, micros: cellOf(surfaceSpend, group, hour), yesterday: cellOf(surfaceSpend, group, hour - DAY_HOURS) };
      if (surface.micros > 0 || surface.yesterday > 0) surfaces.push(surface);
    });
    return {
      hour,
      micros,
      parts: { campaign: largest(campaigns), advertiser: largest([...advertisers.values()]), surface: largest(surfaces) },
    };
  }

  #write(out: ByteWriter): void {
    for (const hour of this.#changed) {
      out.varint(hour);
      out.varint(this.#history.get(hour) ?? 0);
    }
    this.#changed.clear();
  }

  #read(from: ByteReader): void {
    while (!from.done) this.#history.set(from.varint(), from.varint());
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
const largest = (parts: Part[]): Part[] =>
  parts.sort((a, b) => b.micros - b.yesterday - (a.micros - a.yesterday) || (a.name < b.name ? -1 : 1)).slice(0, NAMED);

function addPart(to: Map<string, Part>, { name, micros, yesterday }: Part): void {
  const known = to.get(name);
  if (known === undefined) to.set(name, { name, micros, yesterday });
  else {
    known.micros += micros;
    known.yesterday += yesterday;
  }
}

function addTold(to: Map<number, Told>, { hour, micros, parts }: Told): void {
  const known = to.get(hour) ?? { hour, micros: 0, parts: { campaign: [], advertiser: [], surface: [] } };
  to.set(hour, known);
  known.micros += micros;
  for (const split of SPLITS) {
    const sums = new Map(known.parts[split].map((part) => [part.name, part]));
    for (const part of parts[split]) addPart(sums, part);
    known.parts[split] = largest([...sums.values()]);
  }
}

const readTold = (from: ByteReader): Told[] => JSON.parse(from.string()) as Told[];
