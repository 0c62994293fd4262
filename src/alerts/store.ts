/** Where alerts are kept for people: rows in Postgres. Beside the path; never gates a commit. */
import type { ClosedAlert } from './book.ts';
import { type AlertRecord, alertJson, type Json } from './types.ts';

/** Who writes: the owner of its partition of `.partials`, at its position. What is no task of evaluate says 0 and its own order. */
export interface AlertWriter {
  epoch: number;
  version: number;
}

export interface AlertStore {
  /**
   * Raises, brings up to date, ends; by id, any number of times. What is over stays as it was, and a lower (epoch, version)
   * than a row's changes nothing there. All or nothing. Rejects with code `postgres_unreachable` or `schema_missing`.
   */
  write(writer: AlertWriter, alerts: readonly AlertRecord[]): Promise<void>;
  /** Those of these that are over, by whomever. */
  closed(ids: readonly string[]): Promise<ClosedAlert[]>;
  /** All that are not, newest first, at most `limit`; as the API shows them. */
  open(limit: number): Promise<AlertJson[]>;
  close(): Promise<void>;
}

export type AlertJson = { readonly [name: string]: Json };

interface Kept {
  alert: AlertRecord;
  writer: AlertWriter;
}

/** What survives a crash of its writers: share one between the stores of a simulation. */
export class AlertRows {
  readonly #rows = new Map<string, Kept>();

  write(writer: AlertWriter, alerts: readonly AlertRecord[]): void {
    for (const alert of alerts) {
      const before = this.#rows.get(alert.id);
      if (before && (before.alert.endedAtMs !== null || isBehind(writer, before.writer))) continue;
      this.#rows.set(alert.id, { alert: before ? { ...alert, raisedAtMs: before.alert.raisedAtMs } : alert, writer });
    }
  }

  /** As `exposure-stream ack` does; false when it is over, or there is none. */
  acknowledge(id: string, atMs: number): boolean {
    const row = this.#rows.get(id);
    if (row === undefined || row.alert.endedAtMs !== null) return false;
    row.alert = { ...row.alert, endedAtMs: Math.max(atMs, row.alert.raisedAtMs), endedBy: 'acknowledged' };
    return true;
  }

  all(): AlertRecord[] {
    return [...this.#rows.values()].map(({ alert }) => alert);
  }
}

const isBehind = (a: AlertWriter, b: AlertWriter): boolean => a.epoch < b.epoch || (a.epoch === b.epoch && a.version < b.version);

/** Alerts in memory, for demo, replay and the simulation. `step` is awaited before and after each call. */
export class MemoryAlertStore implements AlertStore {
  readonly rows: AlertRows;
  readonly #step: ((label: string) => Promise<void>) | undefined;

  constructor(rows: AlertRows = new AlertRows(), step?: (label: string) => Promise<void>) {
    this.rows = rows;
    this.#step = step;
  }

  async write(writer: AlertWriter, alerts: readonly AlertRecord[]): Promise<void> {
    await this.#step?.('alerts.before');
    this.rows.write(writer, alerts);
    await this.#step?.('alerts.after');
  }

  async closed(ids: readonly string[]): Promise<ClosedAlert[]> {
    await this.#step?.('closed alerts before');
    const wanted = new Set(ids);
    return this.rows
      .all()
      .filter(({ id, endedAtMs }) => wanted.has(id) && endedAtMs !== null)
      .map(({ id, endedAtMs, endedBy }) => ({ id, endedAtMs: endedAtMs ?? 0, acknowledged: endedBy === 'acknowledged' }));
  }

  async open(limit: number): Promise<AlertJson[]> {
    const open = this.rows.all().filter(({ endedAtMs }) => endedAtMs === null);
    return open
      .sort((a, b) => b.raisedAtMs - a.raisedAtMs || (a.id < b.id ? -1 : 1))
      .slice(0, limit)
      .map(alertJson);
  }

  async close(): Promise<void> {}
}
