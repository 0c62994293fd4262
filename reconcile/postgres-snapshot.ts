/** One repeatable-read transaction on one connection: rows, positions and bookings of the same moment. */
import type { Pool, PoolClient } from 'pg';
import { asError, StreamError } from '../src/errors.ts';
import type { LockState } from './lock.ts';
import { measure, wrongColumns } from './measures.ts';
import * as sql from './queries.ts';
import { each, type Row, readRows, streamHourOf, truthHourOf } from './rows.ts';
import { headOf, type RunRow } from './run-rows.ts';
import { type Booked, type Scope, type Snapshot, STRAGGLERS_MS } from './store.ts';
import type { Entity, Kind, SourcePosition } from './types.ts';

/** A truth of many rows is grouped in memory rather than on disk; cursors are not planned in parallel, so one such at a time. */
const WORK_MEM = '128MB';

export async function openSnapshot(pool: Pool): Promise<Snapshot> {
  const client = await pool.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    await client.query(`set local statement_timeout = 0; set local work_mem = '${WORK_MEM}'; set local timezone = 'UTC'`);
    const wrong = await wrongColumns(client);
    if (wrong.length > 0) throw new StreamError('truth_unreadable', `The contract views are not as agreed: ${wrong.join('; ')}`);
    return await snapshotOf(client);
  } catch (error) {
    client.release(asError(error));
    throw error;
  }
}

async function snapshotOf(client: PoolClient): Promise<Snapshot> {
  const all = async <Result>(text: string, values: unknown[] = []): Promise<Result[]> =>
    (await client.query(text, values)).rows as Result[];
  const [{ nowMs, epoch }] = await all<{ nowMs: number; epoch: number }>(sql.NOW);
  const positions = await all<SourcePosition>(sql.POSITIONS, [epoch]);
  const complete = await all<{ kind: Kind; ms: number }>(sql.COMPLETE);
  const [last] = await all<RunRow>(sql.LAST_RUN);
  const [lock] = await all<LockState>(sql.LOCK);
  // Where a company's view has several rows of a kind, the hour must be complete for each.
  const completeOf = (kind: Kind): number => {
    const known = complete.flatMap((row) => (row.kind === kind && row.ms !== null ? [row.ms] : []));
    return known.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(...known);
  };
  const completeMs = { spend: completeOf('spend'), exposure: completeOf('exposure') };
  let cursors = 0;
  const rows = (text: string, values: readonly unknown[]): AsyncGenerator<Row[], void> =>
    readRows(client, { name: `rows_${cursors++}`, text, values });
  const bounds = ({ fromMs, toMs }: Scope, { beforeMs, sinceMs }: Booked): unknown[] => [fromMs, toMs, beforeMs, sinceMs];
  return {
    nowMs,
    positions,
    completeMs,
    last: last ? headOf(last) : null,
    lock,
    stream: (kind, scope) => each(rows(sql.STREAM[kind], [scope.fromMs, scope.toMs]), streamHourOf(kind)),
    truth: (kind, scope, booked) => each(rows(sql.TRUTH[kind], bounds(scope, booked)), truthHourOf(kind)),
    locked: async (fromMs, { beforeMs, sinceMs }) => {
      const longAgoMs = sinceMs === null ? null : sinceMs - STRAGGLERS_MS;
      const touched = await all<{ campaignId: string; hour: string }>(sql.TOUCHED, [fromMs, beforeMs, sinceMs, longAgoMs, lock.beganMs]);
      const hours = [touched.map(({ campaignId }) => campaignId), touched.map(({ hour }) => hour)];
      return {
        stream: each(rows(sql.LOCKED_STREAM, hours), streamHourOf('spend')),
        truth: each(rows(sql.LOCKED_TRUTH, [...hours, beforeMs, longAgoMs]), truthHourOf('spend')),
      };
    },
    correctedUnits: async () => {
      const moved = await all<{ experimentId: string; variantId: string; units: number }>(sql.CORRECTED_UNITS);
      const units = new Map(moved.map((row) => [JSON.stringify([row.experimentId, row.variantId]), row.units]));
      return ({ entityId, variantId }: Entity) => units.get(JSON.stringify([entityId, variantId])) ?? 0;
    },
    measures: async (scope) => {
      const first = await all<{ id: string; ms: number }>(sql.FIRST_CHECKS);
      return {
        measures: await measure(client, scope, { completeMs: completeMs.spend, hasRun: last !== undefined }),
        firstMs: new Map(first.map(({ id, ms }) => [id, ms])),
      };
    },
    close: async () => {
      const failed = await client.query('rollback').then(() => undefined, asError);
      client.release(failed);
    },
  };
}
