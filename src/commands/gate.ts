/** `gate CAMPAIGN`: what the bidder would be told now, and why. It asks the bidder's own client, and shows the key beside it. */
import { StreamError } from '../errors.ts';
import { targetMicrosAt } from '../gate/curve.ts';
import { type GateAnswer, openGate } from '../gate/index.ts';
import { PACE_FIELDS, type PaceFields, paceKey } from '../gate/pace-fields.ts';
import { parsePace, SEPARATOR } from '../gate/pace-text.ts';
import { ageMs, projectedMicros } from '../gate/projection.ts';
import { connected, openRedis } from '../sinks/redis-client.ts';
import { type CommonOptions, type Host, printJson, settingsOf } from './host.ts';

const WITHIN_MS = 5000;

/** What each reason means, for a person. */
const REASONS: Readonly<Record<string, string>> = {
  on_pace: 'Every auction may be entered: nothing of the budget or of the day’s plan is in the way.',
  pacing: 'Spend follows the day’s curve, so only a share of the auctions is entered.',
  near_cap: 'Over 95 % of the cap is spent or won: the share falls to nothing on the way to it.',
  cap_projected: 'What is counted and what is won meanwhile reach the cap (with the strict policy, 95 % of it).',
  cap_reached: 'The day’s cap is spent.',
  credit_damped: 'After a credit, four fifths of what remained are spent: the rest waits for the next reconciliation.',
  overspent: 'Over 102 % of the cap is counted: closed until the next budget day, a credit, or a cap above what is spent.',
  no_budget: 'No budget row is valid now.',
  paused: 'The campaign is paused in the registry.',
  not_valid: 'No row of the campaign is valid now.',
  stale: 'What Redis holds is too old to be believed, so it is paced carefully from the last known spend: is `run` behind, or down?',
  key_missing: 'There is no key for this campaign: is it registered, and does `run` evaluate?',
  key_unreadable: 'The key holds something that is not ours: who else writes there?',
  recovering: 'Redis has just come back or caught up: for some seconds it is paced carefully.',
  day_ended: 'The budget day is over and the next has not been written yet.',
  redis_gone: 'Redis does not answer.',
};

interface Shown {
  answer: GateAnswer;
  fields: PaceFields | null;
  raw: Record<string, string>;
  redisMs: number;
}

/** Resolves with the exit code: 0 whatever the answer; rejects when Redis gives none. */
export async function gateCommand(host: Host, campaignId: string, options: CommonOptions): Promise<number> {
  const shown = await ask(host, campaignId, options);
  if (options.json) printJson(host, asJson(campaignId, shown));
  else host.out.write(asText(campaignId, shown));
  return 0;
}

async function ask(host: Host, campaignId: string, options: CommonOptions): Promise<Shown> {
  const { REDIS_URL: url, REDIS_KEY_PREFIX: keyPrefix } = settingsOf(host, options).env;
  const redis = openRedis(url);
  const gate = openGate({ redis: url, keyPrefix });
  let failure = 'no answer';
  redis.on('error', (error: Error) => {
    failure = error.message || (error as NodeJS.ErrnoException).code || error.name;
  });
  try {
    if (!(await gate.preload([campaignId], WITHIN_MS))) throw new Error(failure);
    // The gate has a connection of its own, which may be there before this one.
    await connected(redis, WITHIN_MS);
    const raw = await redis.hgetall(paceKey(keyPrefix, campaignId));
    const [seconds, micros] = (await redis.time()).map(Number);
    const text = PACE_FIELDS.map((field) => raw[field] ?? '').join(SEPARATOR);
    return { answer: gate.check(campaignId), raw, fields: parsePace(text), redisMs: seconds * 1000 + Math.floor(micros / 1000) };
  } catch (cause) {
    if (cause instanceof StreamError) throw cause;
    throw new StreamError('redis_unreachable', `Redis does not answer: ${cause instanceof Error ? cause.message : failure}.`, { cause });
  } finally {
    gate.close();
    redis.disconnect();
  }
}

function asJson(campaignId: string, { answer, fields, raw, redisMs }: Shown): Record<string, unknown> {
  const age = fields === null ? null : ageMs(fields, redisMs);
  return {
    campaign_id: campaignId,
    ...answer,
    says: REASONS[answer.reason] ?? answer.reason,
    redis_ms: redisMs,
    age_ms: age,
    projected_micros: fields === null || age === null ? null : projectedMicros(fields, age),
    key: Object.keys(raw).length === 0 ? null : raw,
  };
}

function asText(campaignId: string, { answer, fields, raw, redisMs }: Shown): string {
  const head = [
    `${campaignId}: ${answer.state}, multiplier ${answer.multiplier} (${answer.reason})`,
    `  ${REASONS[answer.reason] ?? answer.reason}`,
  ];
  if (fields === null) return `${head.join('\n')}\n`;
  const { spendMicros, capMicros, day, curve } = fields;
  const age = ageMs(fields, redisMs);
  const projected = projectedMicros(fields, age);
  const rows = [
    ['cap', money(capMicros), `policy ${fields.policy}`],
    ['counted', money(spendMicros), share(spendMicros, capMicros)],
    ['with what is won meanwhile', money(projected), share(projected, capMicros)],
    ['planned by now', money(targetMicrosAt(curve, day, redisMs)), share(targetMicrosAt(curve, day, redisMs), capMicros)],
    ['rate', `${money(fields.rateMicrosPerS)}/s`, ''],
    ['budget day', raw['day'] ?? '', `${iso(day.startMs)} to ${iso(day.endMs)}`],
    ['counted until', iso(fields.countedUntilMs), `${seconds(redisMs - fields.countedUntilMs)} ago by Redis’ clock`],
    ['written', iso(fields.updatedMs), `${seconds(redisMs - fields.updatedMs)} ago, version ${fields.epoch}/${fields.version}`],
    ['in Redis', fields.state, `multiplier ${fields.multiplier} (${fields.reason})`],
  ];
  return [...head, ...rows.map(([name, value, more]) => `  ${name.padEnd(28)}${value.padEnd(26)}${more}`.trimEnd()), ''].join('\n');
}

const money = (micros: number): string => (micros / 1e6).toFixed(2);
const share = (micros: number, cap: number): string => (cap > 0 ? `${((micros / cap) * 100).toFixed(1)} % of the cap` : '');
const iso = (ms: number): string => (ms > 0 ? new Date(ms).toISOString() : 'unknown');
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
