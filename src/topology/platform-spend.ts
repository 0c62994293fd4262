/**
 * Spend of all campaigns together. Each task tells the owner of `.partials` partition 0 what its campaigns spent in the last
 * hours, with the largest of them by campaign, advertiser and surface; the owner adds up, remembers two weeks, and raises.
 */
import type { AlertBook } from '../alerts/book.ts';
import { expectedOf, isTooMuch, type PlatformHour, platformDraft } from '../pacing/platform.ts';
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { Pacing } from './evaluate-pacing.ts';
import type { EvaluatePart } from './evaluate-part.ts';
import { SECTIONS, type Section } from './evaluate-sections.ts';
import type { EvaluateState } from './evaluate-state.ts';
import type { FleetSection } from './fleet.ts';
import { addTold, PlatformScan, type Told } from './platform-scan.ts';
import type { Now } from './types.ts';

const LOOK_MS = 10_000;
const HOUR_MS = 3_600_000;
const DAY_HOURS = 24;
/** Late impressions change the last hours; older ones are final. */
const TOLD_HOURS = 3;
/** So often the hours before the present one. */
const WHOLE_MS = 60_000;
/** So many looks make a whole one, where campaigns are many; a look at fewer than these costs nothing to speak of. */
const SLICES = 40;
const LEAST_GROUPS = 500;
const KEPT_HOURS = 15 * 24;
const FLEET_ID = 10;

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
  /** The hours before the present one, as they were at the last look at them, and when that began. */
  #before: Told[] = [];
  #wholeMs = Number.NEGATIVE_INFINITY;
  /** A look that is under way. */
  #scan: PlatformScan | null = null;

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
    const { pacing, state, partition } = this.#parts;
    const nowMs = pacing.redisMs(now);
    if (nowMs === null) return;
    if (this.#scan === null) {
      if (now.monotonicMs - this.#lookedMs < LOOK_MS) return;
      this.#lookedMs = now.monotonicMs;
      const hour = Math.floor(nowMs / HOUR_MS);
      if (hour < DAY_HOURS) return; // a Redis that stands at the epoch has no yesterday
      this.#scan = this.#begin(hour, now.monotonicMs);
    }
    const told = this.#scan.go(Math.max(LEAST_GROUPS, Math.ceil(state.groups.length / SLICES / this.#scan.hours)));
    if (told === null) return;
    this.#scan = null;
    const [latest, ...before] = told;
    if (before.length > 0) this.#before = before;
    this.#told = JSON.stringify([latest, ...this.#before]);
    if (partition === 0) this.#judge(latest.hour, nowMs);
  }

  #begin(hour: number, monotonicMs: number): PlatformScan {
    const { state, pacing } = this.#parts;
    const { spend, surfaceSpend } = state.totals;
    const advertiserOf = (id: string): string => pacing.advertiserOf(id);
    const isWhole = this.#before[0]?.hour !== hour - 1 || monotonicMs - this.#wholeMs >= WHOLE_MS;
    if (isWhole) this.#wholeMs = monotonicMs;
    const hours = Array.from({ length: isWhole ? TOLD_HOURS : 1 }, (_, i) => hour - i);
    return new PlatformScan(hours, { groups: state.groups, spend, surfaceSpend, advertiserOf });
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

const readTold = (from: ByteReader): Told[] => JSON.parse(from.string()) as Told[];
