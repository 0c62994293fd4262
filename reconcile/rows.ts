/** Rows of Postgres, read through a cursor a few thousand at a time, as the nouns of types.ts. */
import type { PoolClient } from 'pg';
import { StreamError } from '../src/errors.ts';
import { namePostgresError } from '../src/sinks/postgres-client.ts';
import type { Adjustment } from '../src/topology/adjustments.ts';
import { HOUR_MS, type Kind, type StreamHour, type TruthHour } from './types.ts';

const ROWS_AT_ONCE = 5000;

type Cell = string | number | boolean | null;
export type Row = readonly Cell[];

/** Inside of a transaction. The cursor goes with it, or with the end of the iteration. `name` must be free in the transaction. */
export async function* readRows(
  client: PoolClient,
  { name, text, values }: { name: string; text: string; values: readonly unknown[] },
): AsyncGenerator<Row[], void> {
  try {
    yield* fetchAll(client, { name, text, values });
  } catch (error) {
    throw nameRefusal(error, 'Rows were not read');
  }
}

async function* fetchAll(
  client: PoolClient,
  { name, text, values }: { name: string; text: string; values: readonly unknown[] },
): AsyncGenerator<Row[], void> {
  await client.query({ text: `declare ${name} no scroll cursor for ${text}`, values: [...values] });
  for (;;) {
    const { rows } = await client.query<Cell[]>({ text: `fetch forward ${ROWS_AT_ONCE} from ${name}`, rowMode: 'array' });
    if (rows.length > 0) yield rows;
    if (rows.length < ROWS_AT_ONCE) break;
  }
  await client.query(`close ${name}`);
}

/** Data that does not fit, or stands there twice, is refused again at each try. */
export const nameRefusal = (error: unknown, doing: string): StreamError => {
  const { code, message } = error as { code?: unknown; message: string };
  if (typeof code === 'string' && /^2[23]\w{3}$/.test(code))
    return new StreamError('truth_unreadable', `${doing}: Postgres refuses it: ${message}`);
  return namePostgresError(error, doing);
};

/** One after another. */
export async function* each<Value>(rows: AsyncIterable<readonly Row[]>, read: (row: Row) => Value): AsyncGenerator<Value, void> {
  for await (const some of rows) for (const row of some) yield read(row);
}

/** A whole number that is exact. */
function exact(cell: Cell): number {
  if (typeof cell === 'number' && Number.isSafeInteger(cell)) return cell;
  throw new StreamError('total_overflow', `an hour of the truth or the stream holds ${cell}, which is no exact whole number`);
}

/** A view that truncates in a zone with half hours has hours that are none of UTC's. */
function wholeHour(cell: Cell): number {
  const hourMs = exact(cell);
  if (hourMs % HOUR_MS === 0) return hourMs;
  const says = `a row of the truth has the hour ${new Date(hourMs).toISOString()}: hours are those of UTC, as date_trunc('hour', …, 'UTC') gives them`;
  throw new StreamError('truth_unreadable', says);
}

/** In the order of STREAM. */
export const streamHourOf =
  (kind: Kind) =>
  (row: Row): StreamHour => {
    const [entityId, version, variantId, hourMs] = row;
    const [cutEventMs, cutBookedMs] = [row[8], row[9]];
    return {
      kind,
      entityId: String(entityId),
      allocationVersion: exact(version),
      variantId: String(variantId),
      hourMs: exact(hourMs),
      shown: { amount: exact(row[4]) + exact(row[14]), count: exact(row[5]) + exact(row[15]) },
      raw: { amount: exact(row[6]), count: exact(row[7]) },
      adjustedAt: cutEventMs === null ? null : { untilMs: Number(cutEventMs), bookedBeforeMs: Math.round(Number(cutBookedMs)) },
      isCorrected: row[16] === true,
      evidence: { late: exact(row[10]), duplicate: exact(row[11]), suspected: exact(row[12]), invalidTraffic: exact(row[13]) },
    };
  };

/** In the order of TRUTH. */
export const truthHourOf =
  (kind: Kind) =>
  (row: Row): TruthHour => ({
    kind,
    entityId: String(row[0]),
    allocationVersion: exact(row[1]),
    variantId: String(row[2]),
    hourMs: wholeHour(row[3]),
    amount: exact(row[4] ?? 0),
    count: row[5] === null ? null : exact(row[5]),
    credits: exact(row[6]),
    bookedSince: exact(row[7]),
  });

/** In the order of STANDING. */
export const adjustmentOf = (row: Row): Adjustment => ({
  campaignId: String(row[0]),
  hourMs: exact(row[1]),
  spendMicros: exact(row[2]),
  impressions: exact(row[3]),
  untilMs: Number(row[4]),
  bookedBeforeMs: Math.round(Number(row[5])),
});
