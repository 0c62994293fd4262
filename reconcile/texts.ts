/** Amounts, shares and times for a person. */
const MICROS = 1_000_000;

export const grouped = (value: number): string => value.toLocaleString('en-US');
export const moneyText = (micros: number): string =>
  (micros / MICROS).toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const percentText = (share: number): string => `${(100 * share).toLocaleString('en-US')} %`;
