/**
 * Evidence for a deviation that began at some time, not known beforehand: a mixture over the steps it may have begun at,
 * of weight 1/(t(t+1)) each, kept in constant space. A martingale from 1, so looking always costs nothing.
 */
import { lnAdd } from './log-space.ts';

/** Most experiments never have a step: those share this. */
const NONE = new Float64Array(0);

/** One process for each hypothesis, all stepped together. */
export class OnsetProcesses {
  /** Steps so far. */
  steps = 0;
  /** ln of the weighted evidence of all beginnings so far. */
  lnA: Float64Array;
  /** Page's sum: evidence since the beginning that explains it best. */
  cusum: Float64Array;
  /** The step after which that beginning lies. */
  beganAfter: Float64Array;

  constructor(hypotheses: number) {
    this.lnA = NONE;
    this.cusum = NONE;
    this.beganAfter = NONE;
    this.grow(hypotheses);
  }

  /** Adds hypotheses at the end, as if they had been there from the start with nothing to say. */
  grow(hypotheses: number): void {
    const known = this.lnA.length;
    const longer = (old: Float64Array, value: number): Float64Array => {
      const grown = new Float64Array(hypotheses).fill(value);
      grown.set(old);
      return grown;
    };
    if (hypotheses <= known) return;
    this.lnA = longer(this.lnA, Math.log(this.steps / (this.steps + 1)));
    this.cusum = longer(this.cusum, 0);
    this.beganAfter = longer(this.beganAfter, this.steps);
  }

  /** @param lnL what happened since the last step: ln of its likelihood ratio under each hypothesis */
  step(lnL: ArrayLike<number>): void {
    this.steps++;
    const lnWeight = -Math.log(this.steps) - Math.log(this.steps + 1);
    for (let h = 0; h < this.lnA.length; h++) {
      this.lnA[h] = lnAdd(this.lnA[h], lnWeight) + lnL[h];
      const sum = this.cusum[h] + lnL[h];
      this.cusum[h] = sum > 0 ? sum : 0;
      if (!(sum > 0)) this.beganAfter[h] = this.steps;
    }
  }

  /** ln E of one hypothesis: beginnings so far, and what is kept for those to come. */
  lnE(hypothesis: number): number {
    return lnAdd(this.lnA[hypothesis], -Math.log(this.steps + 1));
  }
}
