/** Seeded traffic with known truth. */
export { ndjsonLine, truthPathOf, writeNdjson } from './ndjson.ts';
export { resolveSettings, TRAFFIC_SETTINGS, type TrafficSettings } from './settings.ts';
export type { SourceRecord } from './stream.ts';
export { type SuspectRates, type SuspectSource, suspectReport } from './suspects.ts';
export { generateTraffic, type Traffic } from './traffic.ts';
export { type Restamped, type Spend, type Truth, totalOf } from './truth.ts';
