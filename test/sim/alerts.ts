/** Alerts under every trouble: one that follows from the counts alone, so that who must have it in the end is known. */
import type { AlertBook } from '../../src/alerts/book.ts';
import { type AlertRecord, alertId, type Subject } from '../../src/alerts/types.ts';
import type { MakePart } from '../../src/topology/evaluate-part.ts';
import type { MemoryBroker } from '../../src/topology/sources/memory-log.ts';
import { CAPS } from './pace-judge.ts';
import type { Truth } from './truth.ts';

const MANY_UNITS = 3;
const about = (id: string): Subject => ({ kind: 'experiment', id });
const KIND = 'counts_uncertain';

/** Raised for an experiment with at least so many units; the count never goes back, so neither does the condition. */
export const manyUnits: MakePart = ({ state, alerts }) => ({
  looked: ({ atMs }) => {
    for (const { entity, units } of state.experiments.all()) {
      const { id } = entity;
      const count = [...units.values()].reduce((sum, one) => sum + one, 0);
      if (count < MANY_UNITS) continue;
      const texts = { summary: `${count} units`, description: '', nextStep: '', owner: '' };
      alerts.raise({ kind: KIND, subject: about(id), phase: '', severity: 'info', ...texts, facts: { count } }, atMs);
    }
  },
});

export interface AlertsSeen {
  truth: Truth;
  /** Source partitions that began counting anew behind a truncated log. */
  lost: ReadonlySet<string>;
  /** `.partials` partitions whose owner did. */
  forgotten: ReadonlySet<number>;
  isForgotten: (experiment: string) => boolean;
  broker: MemoryBroker;
  rows: readonly AlertRecord[];
  /** Of the tasks that live. */
  books: readonly AlertBook[];
  /** Alerts of which an owner was seen to have what Postgres has, since trouble ended; partitions still move then. */
  agreed: Set<string>;
}

/** The same set of ids in Postgres and on `.alerts`, the one that the counts ask for, whatever happened; what was acknowledged is over. */
export function wrongAlerts(seen: AlertsSeen): string[] {
  const { broker, books, agreed } = seen;
  const rows = seen.rows.filter(({ kind }) => kind === KIND);
  const ids = new Set(rows.map(({ id }) => id));
  const said = new Set<string>();
  for (const partition of broker.topic('exposure-stream.alerts'))
    for (const { value } of partition.records()) {
      const { kind, alert_id } = JSON.parse(Buffer.from(value ?? '').toString());
      if (kind === KIND) said.add(alert_id);
    }
  const { must, may } = expectedOf(seen);
  for (const { id, kind, subject } of rows) if (kind === 'overspend' && isOverspent(seen.truth, subject.id)) may.add(id);
  const latches = (subject: Subject) => books.flatMap((book) => book.latchOf(KIND, subject) ?? []);
  const expected = rows.filter(({ id }) => must.has(id));
  return [
    ...[...must].filter((id) => !ids.has(id)).map((id) => `alert ${id} is missing in Postgres`),
    ...rows
      .filter(({ id }) => !may.has(id))
      .map(({ id, subject, ordinal }) => `alert ${id} of ${subject.id}, ordinal ${ordinal}, is of nothing that happened`),
    ...[...ids].filter((id) => !said.has(id)).map((id) => `alert ${id} is not on .alerts`),
    ...[...said].filter((id) => !may.has(id)).map((id) => `alert ${id} on .alerts is of nothing that happened`),
    ...expected.flatMap(({ id, subject, endedAtMs }) => {
      const wanted = endedAtMs === null ? 'open' : 'quiet';
      if (latches(subject).includes(wanted)) agreed.add(id);
      return agreed.has(id) ? [] : [`alert ${id} is ${wanted} in Postgres, and never was where it is evaluated`];
    }),
  ];
}

/** On whatever day, for days move with zones. */
function isOverspent(truth: Truth, campaign: string): boolean {
  const keys = [...truth.most].filter(([key]) => key.startsWith(`spend:{${campaign}}:`));
  return keys.reduce((sum, [, fields]) => sum + (fields.get('spend_micros') ?? 0), 0) > (CAPS[campaign] ?? Number.POSITIVE_INFINITY);
}

function expectedOf({ truth, lost, forgotten, isForgotten }: AlertsSeen): { must: Set<string>; may: Set<string> } {
  const must = new Set<string>();
  const may = new Set<string>();
  for (const [key, most] of truth.most) {
    if (!key.startsWith('exposed:')) continue;
    const experiment = key.slice(key.indexOf('{') + 1, key.lastIndexOf('}'));
    const idOf = (ordinal: number): string => alertId({ kind: KIND, subject: about(experiment), phase: '' }, ordinal);
    const lowest = unitsOf(truth.least.get(key));
    // Who has lost state and log counts to there once more, later than the first alert was acknowledged: that is a new one.
    const ordinals = isForgotten(experiment) ? [0, 1] : [0];
    if (unitsOf(most) >= MANY_UNITS) for (const ordinal of ordinals) may.add(idOf(ordinal));
    if (lowest >= MANY_UNITS && !isForgotten(experiment)) must.add(idOf(0));
  }
  for (const name of lost) {
    const origin = truth.suffixes.get(name)?.origin;
    const id = alertId({ kind: KIND, subject: { kind: 'source', id: name }, phase: String(origin) }, 0);
    may.add(id);
    if (!forgotten.has(0)) must.add(id);
  }
  return { must, may };
}

const unitsOf = (fields: ReadonlyMap<string, number> | undefined): number =>
  [...(fields ?? [])].reduce((sum, [field, amount]) => (field.startsWith('units:') ? sum + amount : sum), 0);
