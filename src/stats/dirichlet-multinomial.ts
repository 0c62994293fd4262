/**
 * The e-value of counts against an expected split (Lindon & Malek, arXiv 2011.03567): how many times likelier the counts
 * are under a Dirichlet prior of concentration k around the split than under the split itself. Its mean under the split
 * is 1 at every time one may stop at, so it may be looked at always.
 */
import { deviance, stirlingRest } from './gamma.ts';
import { lnMean } from './log-space.ts';

/** Each k is blind to some deviation (10⁴ gives p = .61 for 100 against 0); an equal-weight mixture is to none. */
export const CONCENTRATIONS = [10, 100, 1000, 10_000, 100_000] as const;

/** What the formula needs of one k and one split. */
interface Prior {
  k: number;
  /** a = kθ of the arms that have a share. */
  a: number[];
  /** Σ rest(aᵢ) − rest(k). */
  rest: number;
}

/** The test of one split. Arms of share 0 are left out: units there are a leak, which needs no statistics. */
export class DirichletMultinomial {
  /** Indices of the arms that have a share. */
  readonly arms: readonly number[];
  readonly #shares: readonly number[];
  readonly #priors: readonly Prior[];
  readonly #logs = new Float64Array(CONCENTRATIONS.length);

  /** @param shares of all arms; made to add to exactly 1 */
  constructor(shares: readonly number[]) {
    const sum = shares.reduce((total, share) => total + share, 0);
    this.#shares = shares.map((share) => share / sum);
    this.arms = shares.flatMap((share, arm) => (share > 0 ? [arm] : []));
    this.#priors = CONCENTRATIONS.map((k) => {
      const a = this.arms.map((arm) => k * this.#shares[arm]);
      return { k, a, rest: a.reduce((total, each) => total + stirlingRest(each), 0) - stirlingRest(k) };
    });
  }

  /** Units in the arms that have a share. */
  units(counts: ArrayLike<number>): number {
    let units = 0;
    for (const arm of this.arms) units += counts[arm];
    return units;
  }

  /** ln e of the mixture over k. */
  lnE(counts: ArrayLike<number>): number {
    return lnMean(this.lnEByConcentration(counts));
  }

  /** ln e for each k of CONCENTRATIONS; the array is used again by the next call. */
  lnEByConcentration(counts: ArrayLike<number>): Float64Array {
    const units = this.arms.length < 2 ? 0 : this.units(counts); // one arm gets all, by any split
    for (let p = 0; p < this.#priors.length; p++) this.#logs[p] = units === 0 ? 0 : this.#lnE(this.#priors[p], counts, units);
    return this.#logs;
  }

  /**
   * Σ[lnΓ(aᵢ+Sᵢ) − lnΓ(aᵢ)] − lnΓ(k+n) + lnΓ(k) − Σ Sᵢ ln θᵢ with Stirling's large terms cancelled: what is left of them is
   * the deviance of aᵢ+Sᵢ from (k+n)θᵢ, whose difference is Sᵢ − nθᵢ.
   */
  #lnE({ k, a, rest }: Prior, counts: ArrayLike<number>, units: number): number {
    const total = k + units;
    let lnE = 0.5 * Math.log(total / k) - rest - stirlingRest(total);
    for (let i = 0; i < a.length; i++) {
      const arm = this.arms[i];
      const posterior = a[i] + counts[arm];
      const expected = total * this.#shares[arm];
      lnE += deviance(posterior, expected) - 0.5 * Math.log(posterior / a[i]) + stirlingRest(posterior);
    }
    return lnE;
  }
}

/** Arms of share 0 that have units nevertheless. */
export const leaks = (counts: ArrayLike<number>, shares: readonly number[]): number[] =>
  shares.flatMap((share, arm) => (share === 0 && counts[arm] > 0 ? [arm] : []));

/** The p-value an e-value stands for, always valid. */
export const pValueOf = (lnE: number): number => Math.min(1, Math.exp(-lnE));
