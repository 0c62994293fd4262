/** Decisions over all running experiments of all partitions: e-BH at the owner of partition 0. */
import type { AlertBook } from '../alerts/book.ts';
import type { SrmSettings } from '../config.ts';
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import { eBenjaminiHochberg } from '../stats/e-bh.ts';
import type { RegisteredRows } from '../topology/evaluate-part.ts';
import type { Fleet, FleetSection } from '../topology/fleet.ts';
import { fleetDraft, phaseOf, type Suspect } from './drafts.ts';
import type { Experiment } from './experiment.ts';
import { isWatched } from './notices.ts';

/** Of FleetSection; 1 did not say who has been paged. */
const SRM_FLEET = 2;
/** e-values are told to a tenth of a nat, rounded down: so little changes, and nobody is rejected by rounding. */
const PER_NAT = 10;
/** A record takes 900 kB; ids have up to 1 kB each. Larger e-values come first. */
const MAX_TOLD_BYTES = 700_000;
/** Between decisions, by the log's own time. */
const DECIDE_MS = 1000;

/** What partition 0 is told of this partition: how many experiments run, and those with any evidence. */
export class FleetTale implements FleetSection {
  readonly id = SRM_FLEET;
  readonly #experiments: ReadonlyMap<string, Experiment>;
  readonly #eventMs: () => number;

  /** @param eventMs as far as event time is known to be */
  constructor(experiments: ReadonlyMap<string, Experiment>, eventMs: () => number) {
    this.#experiments = experiments;
    this.#eventMs = eventMs;
  }

  write(out: ByteWriter): void {
    const eventMs = this.#eventMs();
    const running = [...this.#experiments.values()].filter((one) => isWatched(one, eventMs) && one.exposures.units > 0);
    if (running.length === 0) return;
    out.varint(running.length);
    const told = running.map((one) => ({ one, tenths: Math.floor(one.exposures.lnE * PER_NAT) })).filter(({ tenths }) => tenths > 0);
    told.sort((a, b) => b.tenths - a.tenths || (a.one.id < b.one.id ? -1 : 1));
    for (const { one, tenths } of told) {
      if (out.length > MAX_TOLD_BYTES) return;
      out.string(one.id);
      out.string(one.plan?.owner ?? '');
      out.string(one.plan?.startedAtMs == null ? '' : String(one.plan.startedAtMs));
      out.varint(Math.min(tenths, Number.MAX_SAFE_INTEGER));
      out.u8(one.isAlarmed ? 1 : 0);
    }
  }
}

/** Only at partition 0. */
export class FleetDecision {
  /** Something is to be committed. */
  changed = false;
  readonly #fleet: Fleet;
  readonly #alerts: AlertBook;
  readonly #settings: SrmSettings;
  /** Rejected at the last decision. */
  #suspects = new Set<string>();
  #decidedMs = Number.NEGATIVE_INFINITY;

  constructor(fleet: Fleet, alerts: AlertBook, settings: SrmSettings) {
    this.#fleet = fleet;
    this.#alerts = alerts;
    this.#settings = settings;
  }

  looked(atMs: number): void {
    if (atMs - this.#decidedMs < DECIDE_MS) return;
    this.#decidedMs = atMs;
    this.changed = true;
    const { told, running } = this.#told();
    const { fleetAlpha } = this.#settings;
    const logs = told.map(({ lnE }) => lnE);
    // Who is, or was, certain by itself has been told of by its own partition.
    const suspects = eBenjaminiHochberg(logs, fleetAlpha, running)
      .map((i) => told[i])
      .filter(({ isAlarmed }) => !isAlarmed);
    for (const suspect of suspects) this.#alerts.raise(fleetDraft(suspect, running, fleetAlpha), atMs);
    const now = new Set(suspects.map(({ id }) => id));
    for (const id of this.#suspects) if (!now.has(id)) this.#alerts.clear('srm_fleet', { kind: 'experiment', id }, atMs);
    this.#suspects = now;
  }

  /** What was found out about experiments that are gone, or have begun anew, is over. */
  registered(experiments: RegisteredRows['experiments'], atMs: number): void {
    for (const { kind, subject } of [...this.#alerts.open()]) {
      if (kind !== 'srm_fleet') continue;
      const row = experiments.get(subject.id);
      if (row === undefined) this.#alerts.withdraw(kind, subject, atMs);
      else this.#alerts.enterPhase(kind, subject, phaseOf(row.startedAtMs), atMs);
    }
  }

  touch(): void {
    this.changed = true;
  }

  write(out: ByteWriter): void {
    out.f64(this.#decidedMs);
    out.varint(this.#suspects.size);
    for (const id of this.#suspects) out.string(id);
    this.changed = false;
  }

  read(from: ByteReader): void {
    this.#decidedMs = from.f64();
    this.#suspects = new Set(Array.from({ length: from.varint() }, () => from.string()));
  }

  #told(): { told: Suspect[]; running: number } {
    const told: Suspect[] = [];
    let running = 0;
    for (const { from } of this.#fleet.latest(SRM_FLEET)) {
      if (from.done) continue;
      running += from.varint();
      while (!from.done) {
        const [id, owner, startedAt] = [from.string(), from.string(), from.string()];
        told.push({
          id,
          owner,
          phase: phaseOf(startedAt === '' ? null : Number(startedAt)),
          lnE: from.varint() / PER_NAT,
          isAlarmed: from.u8() === 1,
        });
      }
    }
    return { told, running };
  }
}
