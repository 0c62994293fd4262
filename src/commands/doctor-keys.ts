/** By what are impressions keyed? Judged by the last few: re-stamped copies can only be caught when they meet in one partition. */
import type { Finding } from './doctor-report.ts';
import type { TailRecord } from './kafka-tail.ts';

export const SAMPLE_RECORDS = 200;

interface Sampled {
  key: string;
  eventId: string;
  campaignId: string;
  userId: string;
}

/** @param fields contract field → name in the JSON, as in the settings */
export function judgeKeys(topic: string, records: readonly TailRecord[], fields: Readonly<Record<string, string>>): Finding[] {
  if (records.length === 0) return [{ name: 'keys', status: 'ok', says: `${topic} is empty: how it is keyed is not known yet.` }];
  const findings: Finding[] = [];
  const without = records.filter(({ key }) => key === null).length;
  if (without > 0) {
    findings.push({
      name: 'keys',
      status: 'warning',
      says: `${without} of the last ${records.length} records of ${topic} have no key: each is invalid (missing_key).`,
      todo: 'Let the producer set the key, best to campaign_id.',
    });
  }
  const sampled = records.flatMap((record) => sampledOf(record, fields) ?? []);
  if (sampled.length > 0) findings.push(judgeSample(topic, sampled));
  return findings;
}

function judgeSample(topic: string, sampled: readonly Sampled[]): Finding {
  const by = (test: (record: Sampled) => boolean): boolean => 2 * sampled.filter(test).length > sampled.length;
  const good = (what: string): Finding => ({ name: 'keys', status: 'ok', says: `${topic} is keyed by ${what}, by its last records.` });
  if (by(({ key, eventId }) => key.includes(eventId))) return byEvent(topic, 'keyed by event_id');
  if (by(({ key, campaignId }) => key.includes(campaignId))) return good('campaign_id');
  if (by(({ key, userId }) => userId !== '' && key.includes(userId))) return good('user_id');
  const keys = new Map<string, Set<string>>();
  for (const { key, campaignId } of sampled) keys.set(campaignId, (keys.get(campaignId) ?? new Set()).add(key));
  const scattered = sampled.length - keys.size >= 5 && [...keys.values()].reduce((sum, { size }) => sum + size, 0) > 0.9 * sampled.length;
  return scattered ? byEvent(topic, 'keyed by something of each event (a hash of event_id?)') : good('something that campaigns share');
}

const byEvent = (topic: string, how: string): Finding => ({
  name: 'keys',
  status: 'warning',
  says: `${topic} is ${how}: an impression sent again under a new event_id goes to another partition and cannot be caught.`,
  todo: 'Best key them by campaign_id; do it in a new topic, since a changed key moves records away from their state.',
});

function sampledOf({ key, value }: TailRecord, fields: Readonly<Record<string, string>>): Sampled | null {
  if (key === null || value === null) return null;
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder().decode(value));
  } catch {
    return null;
  }
  const read = (field: string): string => {
    const found = (fields[field] ?? field)
      .split('.')
      .reduce<unknown>(
        (inner, name) => (typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>)[name] : null),
        content,
      );
    return typeof found === 'string' ? found : '';
  };
  const [eventId, campaignId, userId] = [read('event_id'), read('campaign_id'), read('user_id')];
  if (eventId === '' || campaignId === '') return null;
  return { key: new TextDecoder().decode(key), eventId, campaignId, userId };
}
