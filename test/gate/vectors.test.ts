/** The cases of docs/gate-vectors.json, which gates in other languages are written against. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { GateAnswer, Trouble } from '../../src/gate/answer.ts';
import { Campaign, type Surroundings } from '../../src/gate/campaign.ts';
import { ABSENT, paceText, parsePace } from '../../src/gate/pace-text.ts';
import { GATE_DEFAULTS } from '../../src/gate/settings.ts';
import { type PaceHash, textOf } from './pace-key.ts';

interface AnswerCase {
  name: string;
  fields: PaceHash | null;
  now_ms: number;
  unmoved_ms?: number;
  trouble?: Exclude<Trouble, 'stale'>;
  answer: GateAnswer;
}

interface ReadingCase {
  name: string;
  known: PaceHash;
  read: PaceHash | null;
  now_ms: number;
  unmoved_ms: number;
  keeps: 'known' | 'read';
}

const file = join(import.meta.dirname, '../../docs/gate-vectors.json');
const { answers, readings } = JSON.parse(readFileSync(file, 'utf8')) as { answers: AnswerCase[]; readings: ReadingCase[] };

const { staleAfterMs, recoverMs } = GATE_DEFAULTS;
const at = (redisMs: number, monotonicMs: number, changes: Partial<Surroundings> = {}): Surroundings => ({
  redisMs,
  monotonicMs,
  isRedisGone: false,
  redisBackMs: Number.NEGATIVE_INFINITY,
  staleAfterMs,
  recoverMs,
  ...changes,
});

const readingOf = (trouble: AnswerCase['trouble']): string | null =>
  trouble === 'key_missing' ? ABSENT : trouble === 'key_unreadable' ? 'somebody else’s' : null;

describe('answers', () => {
  it.each(answers)('$name', ({ fields, now_ms, unmoved_ms = 0, trouble, answer }) => {
    const campaign = new Campaign('pace:{c}', 0);
    if (fields !== null) campaign.take(paceText(textOf(fields)), at(now_ms, 0));
    const reading = readingOf(trouble);
    if (reading !== null) campaign.take(paceText(reading), at(now_ms, 0));
    const isRedisGone = trouble === 'redis_gone';
    const around = at(now_ms, unmoved_ms, trouble === 'recovering' ? { redisBackMs: unmoved_ms } : { isRedisGone });
    expect(campaign.answer(around)).toEqual({ ...answer, multiplier: expect.closeTo(answer.multiplier, 8) });
  });
});

describe('readings', () => {
  it.each(readings)('$name: keeps the $keeps', ({ known, read, now_ms, unmoved_ms, keeps }) => {
    const campaign = new Campaign('pace:{c}', 0);
    campaign.take(paceText(textOf(known)), at(now_ms, 0));
    campaign.take(paceText(read === null ? ABSENT : textOf(read)), at(now_ms, unmoved_ms));
    const kept = keeps === 'read' && read !== null ? read : known;
    expect(campaign.known).toEqual(parsePace(textOf(kept)));
  });
});

it('there are cases of every state and every trouble', () => {
  expect(new Set(answers.map(({ answer }) => answer.state))).toEqual(
    new Set(['open', 'throttled', 'stopped', 'killed', 'conservative', 'closed']),
  );
  expect(new Set(answers.map(({ trouble }) => trouble))).toEqual(
    new Set([undefined, 'redis_gone', 'key_missing', 'key_unreadable', 'recovering']),
  );
});
