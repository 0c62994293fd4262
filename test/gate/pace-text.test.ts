import { describe, expect, it } from 'vitest';
import { BRIEF_FIELDS, noFields, PACE_FIELDS } from '../../src/gate/pace-fields.ts';
import { isAbsent, noCurve, paceText, parsePace, readPace, SEPARATOR } from '../../src/gate/pace-text.ts';
import { type PaceHash, paceHash, textOf } from './pace-key.ts';

const whole = (changes: Record<string, string | number> = {}) => parsePace(textOf(paceHash(changes)));
const briefOf = (hash: PaceHash): string => BRIEF_FIELDS.map((field) => hash[field] ?? '').join(SEPARATOR);

describe('a whole key', () => {
  it.each([
    ['0.5', 0.5],
    ['0', 0],
    ['1', 1],
    ['0.000001', 0.000001],
    ['0.123456', 0.123456],
    ['1e-7', 1e-7],
    ['2.5e-7', 2.5e-7],
    ['0.3333333333333333333333', 1 / 3],
  ])('has a multiplier written %s', (text, multiplier) => {
    expect(whole({ multiplier: text })?.multiplier).toBe(multiplier);
  });

  it.each(['', '.', '.5', '5.', '1.1', '-0.1', 'NaN', 'Infinity', '0x1', ' 1', '1 ', '1.2.3', '1e400'])('has none written "%s"', (text) => {
    expect(whole({ multiplier: text })).toBeNull();
  });

  it.each(['', '-1', '1.5', '9007199254740992', '99999999999999999999', '１'])('has no amount written "%s"', (text) => {
    expect(whole({ spend_micros: text })).toBeNull();
  });

  it('has the largest whole amount there is', () => {
    expect(whole({ spend_micros: '9007199254740991' })?.spendMicros).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('may have a reason in any letters, and lack a plan’s name and what is under way', () => {
    const hash = paceHash({ reason: 'größtenteils' });
    delete hash['plan'];
    delete hash['inflight_micros'];
    expect(parsePace(textOf(hash))).toMatchObject({ reason: 'größtenteils', plan: '', inflightMicros: 0 });
  });

  it.each(
    PACE_FIELDS.filter((field) => field !== 'plan' && field !== 'inflight_micros' && field !== 'reason'),
  )('is none without its %s', (field) => {
    const hash = paceHash();
    delete hash[field];
    expect(parsePace(textOf(hash))).toBeNull();
  });

  it('cut short anywhere is none', () => {
    const text = textOf(paceHash());
    for (let length = 0; length < text.length; length++) {
      // Of a curve's last amount only digits would be missing: that its length is right is Redis' business.
      if (length > text.lastIndexOf(',')) break;
      expect(parsePace(text.slice(0, length))).toBeNull();
    }
  });
});

describe('the brief fields', () => {
  const fields = parsePace(textOf(paceHash()));
  const known = { fields, curve: noCurve() };

  it('go with the known plan while it is the same', () => {
    const into = noFields();
    expect(readPace(paceText(briefOf(paceHash({ version: 1001, spend_micros: 7 }))), known, into)).toBe('read');
    expect(into).toEqual({ ...fields, version: 1001, spendMicros: 7 });
  });

  it.each([
    ['another cap', paceHash({ version: 1001, cap_micros: 5 })],
    ['no name of a plan', paceHash({ version: 1001, plan: '' })],
  ])('are not enough with %s', (_, hash) => {
    expect(readPace(paceText(briefOf(hash)), known, noFields())).toBe('other_plan');
  });

  it('are not enough where nothing is known, though neither has a name', () => {
    expect(readPace(paceText(briefOf(paceHash({ plan: '' }))), { fields: null, curve: noCurve() }, noFields())).toBe('other_plan');
  });

  it('of a key that is not there are told from those of one that is', () => {
    expect(isAbsent(paceText(briefOf({})))).toBe(true);
    expect(isAbsent(paceText(textOf({})))).toBe(true);
    expect(isAbsent(paceText(SEPARATOR))).toBe(false);
    expect(isAbsent(paceText(briefOf(paceHash())))).toBe(false);
  });
});
