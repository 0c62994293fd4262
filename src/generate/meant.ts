/** What a record is meant to say, before it becomes bytes; and how it becomes JSON text. */
import { SURFACES, type World } from './world.ts';

export interface Meant {
  /** Number of the event_id in its topic. Copies share it. */
  event: number;
  eventId: string;
  eventMs: number;
  receivedMs: number;
  /** Index of the campaign or experiment. */
  entity: number;
  /** Index of the user (-1: none given) or unit. */
  actor: number;
  /** Index of the surface (-1: none given) or variant. */
  detail: number;
  spendMicros: number;
  isValid: boolean;
  allocationVersion: number;
}

const OSES = ['ios', 'android', 'web'];
const COUNTRIES = ['DE', 'US', 'JP', 'BR', 'IN'];

const DIGITS = Array.from({ length: 1000 }, (_, i) => String(i).padStart(3, '0'));
let million = -1;
let millionText = '';

/** Decimal text of epoch ms. Numbers beyond 2^31 are slow to write, and nearly all of these begin alike. */
const msText = (atMs: number): string => {
  const high = Math.floor(atMs / 1_000_000);
  if (high !== million) {
    million = high;
    millionText = high === 0 ? '' : String(high);
  }
  const low = atMs - high * 1_000_000;
  return high === 0 ? String(low) : `${millionText}${DIGITS[(low / 1000) | 0]}${DIGITS[low % 1000]}`;
};

/** Compact JSON of an impression. What is optional depends on the event's number alone, so that a copy has the same bytes. */
export const impressionText = (world: World, advertisers: number, m: Meant): string =>
  `{"event_id":"${m.eventId}","campaign_id":${world.campaigns[m.entity].json},"spend_micros":${m.spendMicros},"event_ts":${msText(m.eventMs)}${
    m.actor < 0 ? '' : `,"user_id":"u-${1_000_000 + m.actor}"`
  },"advertiser_id":"adv-${m.entity % advertisers}"${m.detail < 0 ? '' : `,"surface":"${SURFACES[m.detail]}"`},"received_ts":${msText(m.receivedMs)}${
    m.isValid ? '' : ',"is_valid":false'
  }${m.event % 25 === 0 ? `,"attributes":{"device_os":"${OSES[m.event % 3]}"}` : ''}}`;

/** Compact JSON of an exposure or an assignment; attributes only on exposures. */
export const unitEventText = (world: World, withAttributes: boolean, m: Meant): string =>
  `{"event_id":"${m.eventId}","experiment_id":"${world.experiments[m.entity]}","variant_id":"${world.variants[m.detail]}","unit_id":${
    world.unit(m.actor).json
  },"event_ts":${msText(m.eventMs)},"received_ts":${msText(m.receivedMs)}${
    m.allocationVersion !== 1 || m.event % 2 === 0 ? `,"allocation_version":${m.allocationVersion}` : ''
  }${
    withAttributes && m.event % 3 !== 0
      ? `,"attributes":{"country":"${COUNTRIES[m.event % 5]}","device_os":"${OSES[m.actor % 3]}","sdk_version":"4.1","is_bot":false}`
      : ''
  }}`;
