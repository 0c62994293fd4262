/** Numbers for readers. */

export const grouped = (value: number): string => value.toLocaleString('en-US');

export const percent = (share: number): string => `${Number((share * 100).toFixed(3))} %`;

export const probability = (p: number): string => (p === 0 ? 'below 1e-300' : p < 0.001 ? p.toExponential(1) : p.toPrecision(2));

/** e^x: 4,200 or 10^37. */
export const timesText = (log: number): string => {
  if (log > Math.log(1e6)) return `10^${Math.floor(log / Math.LN10)}`;
  const value = Math.exp(log);
  return value >= 100 ? grouped(Math.round(value)) : value.toPrecision(2);
};
