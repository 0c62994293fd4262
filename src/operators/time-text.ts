const SHORTEST = '2026-01-01T00:00:00Z'.length;
const NOT_A_TIME = Number.NaN;
/** Days before each month of a common year; the month is 1 to 12. */
const DAYS_BEFORE = Uint16Array.of(0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334);
const DAYS_IN = Uint8Array.of(0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31);

const scratch = new Float64Array(1);

/**
 * Epoch ms of an RFC 3339 text (ASCII), or NaN when it is none or lies before 1970. Upper-case T and Z only, `±hh:mm` up
 * to 23:59, no second 60, any number of fraction digits of which those after ms are cut.
 */
export function parseRfc3339(bytes: Uint8Array, start: number, end: number): number {
  readRfc3339(bytes, start, end, scratch);
  return scratch[0];
}

/** The same, put into `into[0]`: a number of that size that is returned would be boxed. */
export function readRfc3339(bytes: Uint8Array, start: number, end: number, into: Float64Array): void {
  into[0] = NOT_A_TIME;
  if (end - start < SHORTEST) return;
  const century = twoDigits(bytes, start);
  const yearOfCentury = twoDigits(bytes, start + 2);
  const month = twoDigits(bytes, start + 5);
  const day = twoDigits(bytes, start + 8);
  const hour = twoDigits(bytes, start + 11);
  const minute = twoDigits(bytes, start + 14);
  const second = twoDigits(bytes, start + 17);
  if ((century | yearOfCentury | month | day | hour | minute | second) < 0) return;
  const year = century * 100 + yearOfCentury;
  // Before 1969 no offset leads to an instant from 1970 on.
  if (year < 1969) return;
  if (bytes[start + 4] !== 0x2d || bytes[start + 7] !== 0x2d || bytes[start + 10] !== 0x54) return;
  if (bytes[start + 13] !== 0x3a || bytes[start + 16] !== 0x3a) return;
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return;
  const leap = (year & 3) === 0 && (year % 100 !== 0 || year % 400 === 0);
  if (day > DAYS_IN[month] + (leap && month === 2 ? 1 : 0)) return;

  let at = start + 19;
  let fractionMs = 0;
  if (bytes[at] === 0x2e) {
    const first = ++at;
    for (let weight = 100; at < end && isDigit(bytes[at]); at++, weight = (weight / 10) | 0) fractionMs += (bytes[at] - 0x30) * weight;
    if (at === first) return;
  }
  const offsetMinutes = parseOffset(bytes, at, end);
  if (offsetMinutes === NOT_AN_OFFSET) return;
  const dayNumber = daysBeforeYear(year) + DAYS_BEFORE[month] + (leap && month > 2 ? 1 : 0) + day - 1;
  const ms = ((dayNumber * 24 + hour) * 60 + minute - offsetMinutes) * 60_000 + second * 1000 + fractionMs;
  if (ms >= 0) into[0] = ms;
}

const NOT_AN_OFFSET = 0x7fff;

/** Minutes east of UTC; the text must end with it. */
function parseOffset(bytes: Uint8Array, at: number, end: number): number {
  const sign = bytes[at];
  if (at + 1 === end) return sign === 0x5a ? 0 : NOT_AN_OFFSET;
  if (at + 6 !== end || (sign !== 0x2b && sign !== 0x2d) || bytes[at + 3] !== 0x3a) return NOT_AN_OFFSET;
  const hours = twoDigits(bytes, at + 1);
  const minutes = twoDigits(bytes, at + 4);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return NOT_AN_OFFSET;
  return sign === 0x2d ? -(hours * 60 + minutes) : hours * 60 + minutes;
}

/** Days from 1970-01-01 to January 1st of a year from 1969 on. */
function daysBeforeYear(year: number): number {
  const leapDays = ((year - 1969) >> 2) - (((year - 1901) / 100) | 0) + (((year - 1601) / 400) | 0);
  return (year - 1970) * 365 + leapDays;
}

const isDigit = (byte: number): boolean => (byte ^ 0x30) < 10;

/** 0 to 99, or negative when one of the two is no digit. */
function twoDigits(bytes: Uint8Array, at: number): number {
  const tens = bytes[at] - 0x30;
  const ones = bytes[at + 1] - 0x30;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1;
}
