/**
 * Stream against truth, hour by hour. Pure: rows in, verdicts out, the same for the same rows. The simulation judges with it.
 * Both sides come sorted by `compareEntities`, then hour; one entity is held at a time, so memory does not grow with the rows.
 */
import {
  type Amounts,
  type ComparedEntity,
  type ComparedHour,
  type Cut,
  compareEntities,
  type Entity,
  HOUR_MS,
  type HourState,
  type StreamHour,
  type TruthHour,
} from './types.ts';

export interface Tolerance {
  /** Of the truth's amount, e.g. .01. */
  ratio: number;
  /** An absolute difference up to this is none: micros. */
  floorMicros: number;
  /** The same of impressions and of units. */
  floorCount: number;
}

export type Bounds = Pick<Cut, 'closedMs' | 'completeMs'>;

export interface CompareOptions {
  tolerance: Tolerance;
  bounds: Bounds;
}

/** max(ratio of the truth, floor), in the amount's own unit. */
export const toleranceOf = (truth: number, floor: number, { ratio }: Tolerance): number => Math.max(Math.abs(truth) * ratio, floor);

/** Entities of either side, in order, each with all its hours. */
export async function* compareAll(
  stream: AsyncIterable<StreamHour> | Iterable<StreamHour>,
  truth: AsyncIterable<TruthHour> | Iterable<TruthHour>,
  options: CompareOptions,
): AsyncGenerator<ComparedEntity, void> {
  const [streamGroups, truthGroups] = [byEntity(stream), byEntity(truth)];
  let [left, right] = [await streamGroups.next(), await truthGroups.next()];
  while (!left.done || !right.done) {
    const order = left.done ? 1 : right.done ? -1 : compareEntities(left.value[0], right.value[0]);
    const ours = !left.done && order <= 0 ? left.value : [];
    const theirs = !right.done && order >= 0 ? right.value : [];
    yield compareEntity(ours, theirs, options);
    if (order <= 0) left = await streamGroups.next();
    if (order >= 0) right = await truthGroups.next();
  }
}

/** The hours of one entity, each side ascending; at least one side has an hour. */
export function compareEntity(stream: readonly StreamHour[], truth: readonly TruthHour[], options: CompareOptions): ComparedEntity {
  const { kind, entityId, allocationVersion, variantId } = stream[0] ?? truth[0];
  const hours: ComparedHour[] = [];
  for (let s = 0, t = 0; s < stream.length || t < truth.length; ) {
    const [ours, theirs] = [stream[s]?.hourMs ?? Number.POSITIVE_INFINITY, truth[t]?.hourMs ?? Number.POSITIVE_INFINITY];
    hours.push(compareHour(ours <= theirs ? stream[s++] : null, theirs <= ours ? truth[t++] : null, options));
  }
  return { kind, entityId, allocationVersion, variantId, hours };
}

function compareHour(stream: StreamHour | null, truth: TruthHour | null, options: CompareOptions): ComparedHour {
  const { hourMs } = (stream ?? truth) as StreamHour | TruthHour;
  const delta = deltaOf(stream, truth);
  return { hourMs, state: stateOf(stream, truth, delta, options), stream, truth, delta };
}

/** Where the truth does not count, its count is taken to be the stream's. */
function deltaOf(stream: StreamHour | null, truth: TruthHour | null): Amounts {
  const shown = stream?.shown ?? { amount: 0, count: 0 };
  return { amount: (truth?.amount ?? 0) - shown.amount, count: truth === null ? -shown.count : (truth.count ?? shown.count) - shown.count };
}

function stateOf(stream: StreamHour | null, truth: TruthHour | null, delta: Amounts, { tolerance, bounds }: CompareOptions): HourState {
  const { kind, hourMs } = (stream ?? truth) as StreamHour | TruthHour;
  const endMs = hourMs + HOUR_MS;
  if (endMs > bounds.closedMs[kind]) return 'in_flight_at_cut';
  if (endMs > bounds.completeMs[kind]) return 'not_yet_booked';
  const floor = kind === 'spend' ? tolerance.floorMicros : tolerance.floorCount;
  const within =
    Math.abs(delta.amount) <= toleranceOf(truth?.amount ?? 0, floor, tolerance) &&
    Math.abs(delta.count) <= toleranceOf(truth?.count ?? 0, tolerance.floorCount, tolerance);
  return within ? 'matched' : 'drifted';
}

async function* byEntity<Row extends Entity>(rows: AsyncIterable<Row> | Iterable<Row>): AsyncGenerator<Row[], void> {
  let group: Row[] = [];
  for await (const row of rows) {
    if (group.length > 0 && compareEntities(group[0], row) !== 0) {
      yield group;
      group = [];
    }
    group.push(row);
  }
  if (group.length > 0) yield group;
}
