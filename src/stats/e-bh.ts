/**
 * The e-BH procedure (Wang & Ramdas 2022): which of K hypotheses to reject so that at most a share `alpha` of the rejected
 * is false on average, whatever their dependence. Takes natural logs of e-values; returns the indices, largest first.
 * @param hypotheses K, with those not given: e-values of at most 1 are never rejected, so they need only be counted
 */
export function eBenjaminiHochberg(lnE: readonly number[], alpha: number, hypotheses = lnE.length): number[] {
  const order: number[] = [];
  for (let index = 0; index < lnE.length; index++) if (lnE[index] > 0) order.push(index);
  order.sort((a, b) => lnE[b] - lnE[a] || a - b);
  let rejected = 0;
  // Held against ln(K/(alpha·k)), with room for the rounding of a log.
  for (let k = 1; k <= order.length; k++) {
    const bound = Math.log(hypotheses / (alpha * k));
    if (lnE[order[k - 1]] >= bound - Math.abs(bound) * 1e-12) rejected = k;
  }
  return order.slice(0, rejected);
}
