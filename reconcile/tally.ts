/** What a run counts while entities go by: totals and fingerprints. Memory does not grow with what differs. */
import { createHash, type Hash } from 'node:crypto';
import { StreamError } from '../src/errors.ts';
import type { RunHead } from './store.ts';
import type { Action, ComparedEntity, Delta, DeltaClass, Entity, HourState, Kind, StreamHour, TruthHour } from './types.ts';

export interface ClassTotal {
  hours: number;
  entities: number;
  /** Σ |delta| and Σ delta, in micros of spend or units. */
  absolute: number;
  net: number;
  /** What becomes of its hours, each once. */
  actions: Action[];
}

export interface KindTotal {
  states: Record<HourState, number>;
  /** Drifted hours that only the truth, or only the stream, has. */
  missingInStream: number;
  missingInTruth: number;
  entities: number;
  driftedEntities: number;
  /** Of compared hours: sums, and of drifted ones Σ |delta|, Σ delta and max |delta|. */
  shown: number;
  truth: number;
  absoluteDelta: number;
  netDelta: number;
  maxDelta: number;
  classes: Partial<Record<DeltaClass, ClassTotal>>;
}

const emptyTotal = (): KindTotal => ({
  states: { matched: 0, drifted: 0, not_yet_booked: 0, in_flight_at_cut: 0 },
  missingInStream: 0,
  missingInTruth: 0,
  entities: 0,
  driftedEntities: 0,
  shown: 0,
  truth: 0,
  absoluteDelta: 0,
  netDelta: 0,
  maxDelta: 0,
  classes: {},
});

export class Tally {
  readonly kinds: Record<Kind, KindTotal> = { spend: emptyTotal(), exposure: emptyTotal() };
  readonly actions: Record<Action, number> = { adjust: 0, correct: 0, report: 0, superseded: 0 };
  readonly #input: Hash = createHash('sha256');
  readonly #result: Hash = createHash('sha256');
  /** An entity comes twice where it has locked hours besides: by what is counted, who was counted. */
  readonly #counted = new Map<string, Set<string>>();

  /** What decides about the rows besides them. */
  begin({ cut, scope, lockedMs }: Pick<RunHead, 'cut' | 'scope' | 'lockedMs'>): void {
    const bounds = [cut.untilMs, lockedMs, ...Object.values(cut.closedMs), ...Object.values(cut.completeMs)].map(String);
    this.#input.update(`${JSON.stringify([bounds, scope])}\n`);
  }

  /** Campaigns of which at least one hour was compared. */
  get campaigns(): number {
    return this.#counted.get('compared spend')?.size ?? 0;
  }

  add(entity: ComparedEntity, deltas: readonly Delta[]): void {
    const total = this.kinds[entity.kind];
    if (this.#isFirst(entity.kind, entity)) total.entities++;
    if (entity.hours.some(({ state }) => state === 'matched' || state === 'drifted')) this.#isFirst(`compared ${entity.kind}`, entity);
    for (const { state, stream, truth, delta } of entity.hours) {
      total.states[state]++;
      this.#hash(stream, truth);
      if (state !== 'matched' && state !== 'drifted') continue;
      total.shown += stream?.shown.amount ?? 0;
      total.truth += truth?.amount ?? 0;
      if (state === 'matched') continue;
      if (stream === null) total.missingInStream++;
      if (truth === null) total.missingInTruth++;
      total.absoluteDelta += Math.abs(delta.amount);
      total.netDelta += delta.amount;
      total.maxDelta = Math.max(total.maxDelta, Math.abs(delta.amount));
    }
    if (deltas.length > 0 && this.#isFirst(`drifted ${entity.kind}`, entity)) total.driftedEntities++;
    this.#classes(total, deltas);
    for (const delta of deltas) {
      this.actions[delta.action]++;
      this.#result.update(resultLine(delta));
    }
  }

  /**
   * Call at the end.
   * @throws StreamError total_overflow: sums are exact, or they are not told
   */
  check(): void {
    for (const { shown, truth, absoluteDelta, netDelta } of Object.values(this.kinds))
      for (const sum of [shown, truth, absoluteDelta, netDelta])
        if (!Number.isSafeInteger(sum))
          throw new StreamError('total_overflow', `a total of the compared hours is ${sum}: compare fewer days at a time`);
  }

  /** SHA-256 of the bounds and of all rows that were compared, in order. Call once, at the end. */
  inputFingerprint(): string {
    return this.#input.digest('hex');
  }

  /** SHA-256 of what was found and decided: equal inputs give equal ones, whatever the run's id and times. Call once, at the end. */
  resultFingerprint(): string {
    return this.#result.digest('hex');
  }

  #classes(total: KindTotal, deltas: readonly Delta[]): void {
    for (const { class: name, delta, action, ...entity } of deltas) {
      const sum = total.classes[name] ?? { hours: 0, entities: 0, absolute: 0, net: 0, actions: [] };
      total.classes[name] = sum;
      sum.hours++;
      sum.absolute += Math.abs(delta.amount);
      sum.net += delta.amount;
      if (!sum.actions.includes(action)) sum.actions.push(action);
      if (this.#isFirst(`${name} ${entity.kind}`, entity)) sum.entities++;
    }
  }

  /** Whether it is the first time that this entity is counted as such. */
  #isFirst(counted: string, { entityId, allocationVersion, variantId }: Entity): boolean {
    const key = variantId === '' ? entityId : JSON.stringify([entityId, allocationVersion, variantId]);
    const seen = this.#counted.get(counted) ?? new Set();
    this.#counted.set(counted, seen);
    return seen.size < seen.add(key).size;
  }

  #hash(stream: StreamHour | null, truth: TruthHour | null): void {
    const { kind, entityId, allocationVersion, variantId, hourMs } = (stream ?? truth) as StreamHour | TruthHour;
    const evidence = stream && Object.values(stream.evidence);
    const stands = stream && [stream.adjustedAt, stream.isCorrected];
    const ours = stream && [stream.shown.amount, stream.shown.count, stream.raw.amount, stream.raw.count, evidence, stands];
    const theirs = truth && [truth.amount, truth.count, truth.credits, truth.bookedSince];
    this.#input.update(`${JSON.stringify([kind, entityId, allocationVersion, variantId, hourMs, ours, theirs])}\n`);
  }
}

const resultLine = ({ kind, entityId, allocationVersion, variantId, hourMs, delta, class: name, action }: Delta): string =>
  `${JSON.stringify([kind, entityId, allocationVersion, variantId, hourMs, delta.amount, delta.count, name, action])}\n`;

/** Drift of spend as a share of the truth: Σ |delta| / Σ truth of compared hours; 0 where there is neither. */
export const driftRatio = ({ spend }: Record<Kind, KindTotal>): number =>
  spend.absoluteDelta === 0 ? 0 : spend.absoluteDelta / Math.max(1, Math.abs(spend.truth), Math.abs(spend.shown));
