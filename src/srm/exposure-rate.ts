/**
 * Are the assigned units of all arms exposed alike? The log-rank test, stratified by allocation version, one step with each
 * onset step of the exposures. A clean answer where the exposures are broken says: look at the assignment.
 */
import { addLnLogRank } from '../stats/log-rank.ts';
import { lnMean } from '../stats/log-space.ts';
import type { Experiment } from './experiment.ts';

/** Most experiments log no assignments: those share this. */
const NONE = new Float64Array(0);

export class ExposureRate {
  /** ln of each tilt's evidence, as [arm][tilt]. */
  logs: Float64Array = NONE;
  /** By version: exposures of each arm at the last step of that version. */
  readonly exposed = new Map<number, readonly number[]>();
  /**
   * By version: exposures of each arm at a step whose assignments are not all there yet. Where assignments come a little
   * later than exposures, a step is taken when they have.
   */
  readonly waiting = new Map<number, readonly number[]>();

  /** ln e; 0 before there is anything. */
  get lnE(): number {
    return lnMean(this.logs);
  }

  /** An onset step of the exposures. */
  step(experiment: Experiment): void {
    const { tallies } = experiment;
    if (tallies.assigned.versions.length === 0) return;
    for (const { version } of tallies.exposed.versions) {
      if (experiment.sharesOf(version) === null || this.waiting.has(version)) continue;
      this.waiting.set(version, experiment.tested(tallies.exposed, version));
    }
    this.catchUp(experiment);
  }

  /** Takes the steps whose assignments are there. True when one was taken. */
  catchUp(experiment: Experiment): boolean {
    let taken = false;
    for (const [version, exposed] of this.waiting) {
      const assigned = experiment.tested(experiment.tally('assigned'), version);
      if (exposed.some((count, arm) => count > assigned[arm])) continue;
      const before = this.exposed.get(version) ?? [];
      this.#makeRoom(experiment.hypotheses);
      addLnLogRank(
        exposed.map((count, arm) => count - (before[arm] ?? 0)),
        assigned.map((count, arm) => count - (before[arm] ?? 0)),
        this.logs,
      );
      this.exposed.set(version, exposed);
      this.waiting.delete(version);
      taken = true;
    }
    return taken;
  }

  #makeRoom(hypotheses: number): void {
    if (this.logs.length >= hypotheses) return;
    const grown = new Float64Array(hypotheses);
    grown.set(this.logs);
    this.logs = grown;
  }
}
