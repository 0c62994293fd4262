/**
 * The alerts of one evaluate task: raised, latched, ended; kept in its state, so that a replay raises the same ids.
 *
 * How to use it, from a part's `looked` (or `ticked`), with the time given there:
 * - `raise(draft, atMs)` whenever the condition holds. The first latches; the next ones only bring the content up to date.
 *   What was acknowledged stays quiet until the condition has once been seen not to hold (`clear`), or is now more severe.
 * - `clear(kind, subject, atMs)` whenever it does not hold. A latched alert stays, and says that it is so no longer.
 * - `enterPhase(kind, subject, phase, atMs)` when a new phase begins (a `raise` with another phase does it too).
 * - `withdraw(kind, subject, atMs)` when there is nothing to be alerted about any more (the experiment was taken out).
 * - `suppress(reason)`, in `ticked`, while the stream lags; `suppress(null)` when it does not. Kinds that are suppressible are then not
 *   raised and listed in `suppressed`; what is latched stays.
 *
 * An alert is one of (subject, kind). It ends by acknowledgement, a new phase, withdrawal, or a more severe one in its place:
 * each gives the next a new id. Leaving it (topic, Postgres, deliveries) is somebody else's: `durable` is what they may take, since a
 * commit has it. Everything here is synchronous; nothing is a decision by the machine's clock.
 */

import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import { SECTIONS, type Section } from '../topology/evaluate-sections.ts';
import { type AlertKind, isSuppressible, SEVERITIES } from './kinds.ts';
import { type AlertDraft, type AlertEnd, type AlertRecord, alertId, type Subject } from './types.ts';

/** `open`: latched. `quiet`: acknowledged, and the condition has held ever since. `armed`: the next raise latches. */
export type Latch = 'open' | 'quiet' | 'armed';

interface Entry {
  kind: AlertKind;
  subject: Subject;
  phase: string;
  ordinal: number;
  latch: Latch;
  /** The alert that is open, or was acknowledged last. */
  alert: AlertRecord | null;
}

export interface Suppressed {
  kind: AlertKind;
  subject: Subject;
  summary: string;
  sinceMs: number;
  reason: string;
}

/** What Postgres says of an alert that is over. */
export interface ClosedAlert {
  id: string;
  endedAtMs: number;
  acknowledged: boolean;
}

const keyOf = (kind: AlertKind, { kind: what, id }: Subject): string => `${kind}\u0000${what}\u0000${id}`;
const rank = (alert: Pick<AlertDraft, 'severity'>): number => SEVERITIES.indexOf(alert.severity);

export class AlertBook implements Section {
  readonly id = SECTIONS.alerts;
  readonly #isSuppressible: (kind: AlertKind) => boolean;
  readonly #entries = new Map<string, Entry>();
  /** Over, and not yet known to be in Postgres. */
  readonly #ended = new Map<string, AlertRecord>();
  readonly #suppressed = new Map<string, Suppressed>();
  readonly #changedEntries = new Set<string>();
  readonly #changedEnded = new Set<string>();
  #suppressing: string | null = null;
  /** What a commit that may still be under way has; and what a commit that counts has, by id. */
  #committing = new Map<string, AlertRecord | null>();
  readonly #durable = new Map<string, AlertRecord>();

  constructor(suppressible: (kind: AlertKind) => boolean = isSuppressible) {
    this.#isSuppressible = suppressible;
  }

  /** Something must be committed though the log stands still. */
  get uncommitted(): boolean {
    return this.#changedEntries.size > 0 || this.#changedEnded.size > 0;
  }

  /** Why suppressible kinds are not raised now, or null. */
  get suppressing(): string | null {
    return this.#suppressing;
  }

  /** What would have been raised but for that. */
  get suppressed(): readonly Suppressed[] {
    return [...this.#suppressed.values()];
  }

  /** The latched alert of a subject, or null. */
  latched(kind: AlertKind, subject: Subject): AlertRecord | null {
    const entry = this.#entries.get(keyOf(kind, subject));
    return entry?.latch === 'open' ? entry.alert : null;
  }

  /** Whether a subject's alert is open, acknowledged and still so, or to be raised anew; null when there never was one. */
  latchOf(kind: AlertKind, subject: Subject): Latch | null {
    return this.#entries.get(keyOf(kind, subject))?.latch ?? null;
  }

  /** All that are latched. */
  *open(): IterableIterator<AlertRecord> {
    for (const { latch, alert } of this.#entries.values()) if (latch === 'open' && alert !== null) yield alert;
  }

  /** The condition holds. `raised` when an alert was latched now. */
  raise(draft: AlertDraft, atMs: number): 'raised' | 'updated' | 'quiet' | 'suppressed' {
    const key = keyOf(draft.kind, draft.subject);
    this.enterPhase(draft.kind, draft.subject, draft.phase, atMs);
    const entry = this.#entries.get(key) ?? this.#newEntry(draft);
    const { latch, alert } = entry;
    const isWorse = alert !== null && rank(draft) > rank(alert);
    if (latch === 'quiet' && !isWorse) return 'quiet';
    if (latch === 'open' && alert !== null && !isWorse) {
      this.#update(key, alert, draft, atMs);
      return 'updated';
    }
    if (this.#suppressing !== null && this.#isSuppressible(draft.kind)) {
      const { kind, subject, summary } = draft;
      if (!this.#suppressed.has(key)) this.#suppressed.set(key, { kind, subject, summary, sinceMs: atMs, reason: this.#suppressing });
      return 'suppressed';
    }
    if (latch === 'open') this.#end(entry, 'more_severe', atMs);
    this.#entries.set(key, entry);
    this.#suppressed.delete(key);
    this.#latch(key, entry, draft, atMs);
    return 'raised';
  }

  /** The condition does not hold. */
  clear(kind: AlertKind, subject: Subject, atMs: number): void {
    const key = keyOf(kind, subject);
    this.#suppressed.delete(key);
    const entry = this.#entries.get(key);
    if (entry?.latch === 'quiet') {
      entry.latch = 'armed';
      this.#changedEntries.add(key);
    } else if (entry?.latch === 'open' && entry.alert?.holds) {
      entry.alert = { ...entry.alert, holds: false, updatedAtMs: Math.max(entry.alert.updatedAtMs, atMs) };
      this.#changedEntries.add(key);
    }
  }

  /** Ends the alert of another phase, if there is one. */
  enterPhase(kind: AlertKind, subject: Subject, phase: string, atMs: number): void {
    const key = keyOf(kind, subject);
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.phase === phase) return;
    if (entry.latch === 'open') this.#end(entry, 'new_phase', atMs);
    this.#entries.set(key, { kind, subject, phase, ordinal: 0, latch: 'armed', alert: null });
    this.#suppressed.delete(key);
    this.#changedEntries.add(key);
  }

  /** There is nothing to be alerted about any more. */
  withdraw(kind: AlertKind, subject: Subject, atMs: number): void {
    const key = keyOf(kind, subject);
    this.#suppressed.delete(key);
    const entry = this.#entries.get(key);
    if (entry?.latch !== 'open') return;
    this.#end(entry, 'withdrawn', atMs);
    entry.latch = 'armed';
    this.#changedEntries.add(key);
  }

  suppress(reason: string | null): void {
    this.#suppressing = reason;
    if (reason === null) this.#suppressed.clear();
  }

  /**
   * Postgres has it as ended: somebody has acknowledged it. One that ended before this was raised, or otherwise and before it was
   * seen to hold, had the id before the task lost its state, or its phase came back: that id is used up, and the alert goes on
   * under the next.
   */
  closed({ id, endedAtMs, acknowledged }: ClosedAlert): void {
    for (const [key, entry] of this.#entries) {
      const { alert } = entry;
      if (entry.latch !== 'open' || alert === null || alert.id !== id) continue;
      const wasEnded = endedAtMs < alert.raisedAtMs || (!acknowledged && alert.holds && endedAtMs < alert.updatedAtMs);
      if (wasEnded) {
        this.#changedEnded.add(id);
        entry.ordinal++;
        this.#latch(key, entry, alert, endedAtMs < alert.raisedAtMs ? alert.raisedAtMs : alert.updatedAtMs);
      } else if (acknowledged) {
        this.#end(entry, 'acknowledged', endedAtMs);
        entry.latch = alert.holds ? 'quiet' : 'armed';
        this.#changedEntries.add(key);
      }
      return;
    }
  }

  /** An ended alert has reached Postgres: nothing of it need be kept. */
  stored(alert: AlertRecord): void {
    if (alert.endedAtMs === null || !this.#ended.delete(alert.id)) return;
    this.#durable.delete(alert.id);
    this.#changedEnded.add(alert.id);
  }

  /** What the last commit made durable counts now: the next step of its task has begun. */
  settle(): void {
    for (const [id, alert] of this.#committing) {
      if (alert === null) this.#durable.delete(id);
      else this.#durable.set(id, alert);
    }
    this.#committing.clear();
  }

  /** Latched and ended alerts as a commit has them: may leave this process. Values never change; a change is another value. */
  durable(): IterableIterator<AlertRecord> {
    return this.#durable.values();
  }

  /** JSON of each change; null for what is no longer kept. */
  write(out: ByteWriter): void {
    for (const key of this.#changedEntries) {
      const entry = this.#entries.get(key) as Entry;
      if (entry.latch === 'open' && entry.alert !== null) this.#committing.set(entry.alert.id, entry.alert);
      out.string(JSON.stringify({ entry }));
    }
    for (const id of this.#changedEnded) {
      const ended = this.#ended.get(id) ?? null;
      this.#committing.set(id, ended);
      out.string(JSON.stringify({ ended: ended ?? id }));
    }
    this.#changedEntries.clear();
    this.#changedEnded.clear();
  }

  read(from: ByteReader): void {
    while (!from.done) {
      const { entry, ended } = JSON.parse(from.string()) as { entry?: Entry; ended?: AlertRecord | string };
      if (entry) {
        const key = keyOf(entry.kind, entry.subject);
        this.#entries.set(key, entry);
        if (entry.latch === 'open' && entry.alert !== null) this.#durable.set(entry.alert.id, entry.alert);
      } else if (typeof ended === 'string') {
        this.#ended.delete(ended);
        this.#durable.delete(ended);
      } else if (ended) {
        this.#ended.set(ended.id, ended);
        this.#durable.set(ended.id, ended);
      }
    }
  }

  touchAll(): void {
    for (const key of this.#entries.keys()) this.#changedEntries.add(key);
    for (const id of this.#ended.keys()) this.#changedEnded.add(id);
  }

  #newEntry({ kind, subject, phase }: AlertDraft): Entry {
    return { kind, subject, phase, ordinal: 0, latch: 'armed', alert: null };
  }

  #latch(key: string, entry: Entry, draft: AlertDraft, atMs: number): void {
    const { kind, subject, phase, severity, owner, summary, description, nextStep, facts } = draft;
    const content = { kind, subject, phase, severity, owner, summary, description, nextStep, facts };
    const { ordinal } = entry;
    const times = { raisedAtMs: atMs, updatedAtMs: atMs, endedAtMs: null, endedBy: null };
    entry.alert = { ...content, id: alertId(draft, ordinal), ordinal, ...times, holds: true };
    entry.latch = 'open';
    this.#changedEntries.add(key);
  }

  /** Only what may change of a latched alert; no change, no commit. */
  #update(key: string, alert: AlertRecord, draft: AlertDraft, atMs: number): void {
    const { summary, description, nextStep, facts } = draft;
    const isSame =
      alert.holds &&
      alert.summary === summary &&
      alert.description === description &&
      alert.nextStep === nextStep &&
      JSON.stringify(alert.facts) === JSON.stringify(facts);
    if (isSame) return;
    const entry = this.#entries.get(key) as Entry;
    entry.alert = { ...alert, summary, description, nextStep, facts, holds: true, updatedAtMs: Math.max(alert.updatedAtMs, atMs) };
    this.#changedEntries.add(key);
  }

  /** The entry goes on under the next ordinal; the caller says in which latch. */
  #end(entry: Entry, endedBy: AlertEnd, atMs: number): void {
    const alert = entry.alert as AlertRecord;
    const ended = { ...alert, endedBy, endedAtMs: Math.max(alert.raisedAtMs, atMs) };
    entry.alert = ended;
    entry.ordinal++;
    this.#ended.set(alert.id, ended);
    this.#changedEnded.add(alert.id);
  }
}
