/** What an alert is. Pure: names, values, and how an id follows from what it is about. */
import { createHash } from 'node:crypto';
import type { AlertKind, Severity, SubjectKind } from './kinds.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

export interface Subject {
  kind: SubjectKind;
  id: string;
}

/** What the one who raises it says. Texts are for people: plain sentences, no markup. */
export interface AlertDraft {
  kind: AlertKind;
  subject: Subject;
  /** What makes an alert a new one though the last was never acknowledged: a start of the experiment, a budget day. '' where there is none. */
  phase: string;
  severity: Severity;
  /** Whose it is, for routes; '' when nobody is registered. */
  owner: string;
  /** One line: what is wrong. */
  summary: string;
  /** What was seen, since when, where, and why it is thought to be so. */
  description: string;
  /** What to do now. */
  nextStep: string;
  /** The numbers behind it, for machines and tables. Small: a few kB. */
  facts: { readonly [name: string]: Json };
}

/** The fact of an alert that pauses its experiment when it is first written down. */
export const PAUSES = 'pauses_experiment';

/** Why an alert is over. */
export type AlertEnd = 'acknowledged' | 'new_phase' | 'more_severe' | 'withdrawn';

/** A latched alert. The id, and all above `summary`, never change. */
export interface AlertRecord extends AlertDraft {
  id: string;
  /** How often alerts of this subject, kind and phase have ended before. */
  ordinal: number;
  /** The time given with the first `raise`. */
  raisedAtMs: number;
  updatedAtMs: number;
  endedAtMs: number | null;
  endedBy: AlertEnd | null;
  /** Whether it was so at the last look. An alert stays when it no longer is: it never flaps. */
  holds: boolean;
}

/** 32 hex digits; the same for the same alert, whoever raises it and however often. What was found out later is content, not id. */
export const alertId = ({ kind, subject, phase }: Pick<AlertDraft, 'kind' | 'subject' | 'phase'>, ordinal: number): string =>
  createHash('sha256')
    .update(JSON.stringify([subject.kind, subject.id, kind, phase, ordinal]))
    .digest('hex')
    .slice(0, 32);

/** Half a surrogate pair is no text. */
export const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd');

/** What Postgres and every receiver take: ids of segments and users may hold what is no text there. */
const clean = (text: string): string => wellFormed(text).replaceAll('\u0000', '\ufffd');

function cleanJson(value: Json): Json {
  if (typeof value === 'string') return clean(value);
  if (Array.isArray(value)) return value.map(cleanJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [clean(name), cleanJson(inner)]));
}

/** The value of a record on `.alerts`, and what the API shows. */
export const alertJson = (alert: AlertRecord): { readonly [name: string]: Json } => cleanJson(plainJson(alert)) as { [name: string]: Json };

const plainJson = (alert: AlertRecord): { [name: string]: Json } => ({
  alert_id: alert.id,
  kind: alert.kind,
  severity: alert.severity,
  subject_kind: alert.subject.kind,
  subject_id: alert.subject.id,
  phase: alert.phase,
  ordinal: alert.ordinal,
  owner: alert.owner,
  status: alert.endedAtMs === null ? 'open' : 'ended',
  holds: alert.holds,
  summary: alert.summary,
  description: alert.description,
  next_step: alert.nextStep,
  facts: alert.facts,
  raised_ms: alert.raisedAtMs,
  updated_ms: alert.updatedAtMs,
  ended_ms: alert.endedAtMs,
  ended_by: alert.endedBy,
});
