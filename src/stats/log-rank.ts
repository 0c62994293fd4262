/**
 * Whether all arms' waiting units are exposed alike: the log-rank test as an e-process (arXiv 2011.06931). Of `exposed` first
 * exposures in one step nothing is known but how many fell to each arm; given that, an arm's number is hypergeometric when
 * all waiting units are alike, and Fisher's noncentral hypergeometric when that arm's are exposed e^δ times as readily.
 */
import { lnBinomial } from './gamma.ts';
import { TILTS } from './tilts.ts';

/** Terms smaller than this share of the largest change no double. */
const NEGLIGIBLE = 1e-18;

/** One arm against all: `waiting` of `allWaiting` units are its own, and `drawn` of all are exposed. */
export interface Urn {
  waiting: number;
  allWaiting: number;
  drawn: number;
}

const lnHypergeometric = (x: number, { waiting, allWaiting, drawn }: Urn): number => {
  const p = drawn / allWaiting;
  return lnBinomial(x, waiting, p) + lnBinomial(drawn - x, allWaiting - waiting, p) - lnBinomial(drawn, allWaiting, p);
};

/** The most likely number from the arm where its odds are `odds` times the others'. */
function modeOf({ waiting, allWaiting, drawn }: Urn, odds: number): number {
  const low = Math.max(0, drawn - (allWaiting - waiting));
  const high = Math.min(drawn, waiting);
  const b = (drawn + waiting + 2) * odds + allWaiting - waiting - drawn;
  const c = odds * (drawn + 1) * (waiting + 1);
  const mode = Math.floor((2 * c) / (b + Math.sqrt(Math.max(0, b * b - 4 * (odds - 1) * c))));
  return Math.min(high, Math.max(low, mode));
}

/** ln E[e^{δX}] of a hypergeometric X, summed outwards from where the terms are largest. */
export function lnMomentOf(urn: Urn, delta: number): number {
  const { waiting, allWaiting, drawn } = urn;
  const odds = Math.exp(delta);
  const mode = modeOf(urn, odds);
  const rest = allWaiting - waiting - drawn;
  let sum = 1;
  let term = 1;
  for (let x = mode; term > sum * NEGLIGIBLE; x++) {
    term *= (odds * (waiting - x) * (drawn - x)) / ((x + 1) * (rest + x + 1));
    sum += term;
  }
  term = 1;
  for (let x = mode; term > sum * NEGLIGIBLE; x--) {
    term *= (x * (rest + x)) / (odds * (waiting - x + 1) * (drawn - x + 1));
    sum += term;
  }
  return lnHypergeometric(mode, urn) + delta * mode + Math.log(sum);
}

/**
 * Adds ln of each tilt's likelihood ratio for one step, as [arm][tilt] (TILTS). Its expectation is exactly 1 when all arms
 * are exposed alike.
 * @param exposed first exposures of each arm in this step
 * @param waiting assigned by the step's end and not exposed before it; at least `exposed`
 */
export function addLnLogRank(exposed: ArrayLike<number>, waiting: ArrayLike<number>, to: Float64Array): void {
  let drawn = 0;
  let allWaiting = 0;
  for (let arm = 0; arm < waiting.length; arm++) {
    drawn += exposed[arm];
    allWaiting += waiting[arm];
  }
  if (drawn === 0 || drawn === allWaiting) return; // who is exposed was then no choice
  for (let arm = 0; arm < waiting.length; arm++) {
    if (waiting[arm] === 0 || waiting[arm] === allWaiting) continue;
    const urn = { waiting: waiting[arm], allWaiting, drawn };
    for (let t = 0; t < TILTS.length; t++) to[arm * TILTS.length + t] += exposed[arm] * TILTS[t] - lnMomentOf(urn, TILTS[t]);
  }
}
