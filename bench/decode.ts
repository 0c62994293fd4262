/**
 * Records a second through the decoder on one core, fast and slow path, and bytes allocated a record on the fast one.
 *
 *     node bench/decode.ts [first letters of a case]
 */
import { DecodedEvent, Decoder } from '../src/operators/decode.ts';
import { RecordView, type Stream } from '../src/topology/types.ts';

const RECORDS = 20_000;
const BASE_MS = 1_767_225_600_000;

const hex = (n: number): string => ((n * 2_654_435_761) >>> 0).toString(16).padStart(8, '0');

function impression(n: number, time: string | number): object {
  return {
    event_id: `${hex(n)}-${hex(n + 7).slice(0, 4)}-4abc-9def-${hex(n * 3)}${hex(n).slice(0, 4)}`,
    campaign_id: `campaign-${n % 500}`,
    spend_micros: 1_000 + ((n * 7919) % 90_000),
    event_ts: time,
    user_id: `user-${hex(n % 5000)}`,
    advertiser_id: `adv-${n % 40}`,
    surface: 'home_feed',
  };
}

function exposure(n: number, time: string | number): object {
  return {
    event_id: `${hex(n)}-${hex(n + 7).slice(0, 4)}-4abc-9def-${hex(n * 3)}${hex(n).slice(0, 4)}`,
    experiment_id: `experiment-${n % 50}`,
    variant_id: n % 2 === 0 ? 'control' : 'treatment',
    unit_id: `user-${hex(n % 5000)}`,
    event_ts: time,
    attributes: { country: 'DE', device_os: 'ios', sdk_version: '4.2.1' },
  };
}

interface Case {
  name: string;
  stream: Stream;
  values: Buffer[];
}

const valuesOf = (make: (n: number) => object): Buffer[] => Array.from({ length: RECORDS }, (_, n) => Buffer.from(JSON.stringify(make(n))));
const iso = (n: number): string => new Date(BASE_MS + n).toISOString();

const CASES: Case[] = [
  { name: 'impressions', stream: 'impressions', values: valuesOf((n) => impression(n, BASE_MS + n)) },
  { name: 'impressions, ISO times', stream: 'impressions', values: valuesOf((n) => impression(n, iso(n))) },
  { name: 'exposures', stream: 'exposures', values: valuesOf((n) => exposure(n, BASE_MS + n)) },
  { name: 'broken off', stream: 'exposures', values: valuesOf((n) => exposure(n, BASE_MS + n)).map((value) => value.subarray(0, 150)) },
];

/** All values behind each other in one buffer, as a fetch brings them. */
function views(values: readonly Buffer[]): RecordView[] {
  const buffer = Buffer.concat(values);
  let at = 0;
  return values.map((value) => {
    const view = new RecordView();
    view.key = view.value = buffer;
    view.valueStart = at;
    view.valueEnd = at += value.length;
    return view;
  });
}

function run(records: readonly RecordView[], decode: (record: RecordView, into: DecodedEvent) => number, seconds: number): number {
  const event = new DecodedEvent();
  let decoded = 0;
  const before = process.cpuUsage();
  let cpuSeconds = 0;
  while (cpuSeconds < seconds) {
    for (const record of records) decode(record, event);
    decoded += records.length;
    const used = process.cpuUsage(before);
    cpuSeconds = (used.user + used.system) / 1e6;
  }
  return decoded / cpuSeconds;
}

/** Heap bytes that decoding a record takes. Indexed, since an iterator allocates by itself; the second turn is all optimised code. */
function heapBytesOf(records: readonly RecordView[], decode: (record: RecordView, into: DecodedEvent) => number): number {
  const event = new DecodedEvent();
  let before = 0;
  for (let turn = 0; turn < 2; turn++) {
    before = process.memoryUsage().heapUsed;
    for (let i = 0; i < records.length; i++) decode(records[i], event);
  }
  return (process.memoryUsage().heapUsed - before) / records.length;
}

const lines: string[] = [];
const only = process.argv[2] ?? '';
for (const { name, stream, values } of CASES.filter((one) => one.name.startsWith(only))) {
  const decoder = new Decoder(stream, { mapping: {}, maxSpendMicros: 1e12, maxFutureSkewMs: 300_000 });
  const records = views(values);
  const fast = (record: RecordView, into: DecodedEvent): number => decoder.decode(record, into);
  const slow = (record: RecordView, into: DecodedEvent): number => decoder.decodeSlow(record, into);
  for (const decode of [fast, slow]) run(records, decode, 0.3);
  const fastRate = run(records, fast, 1);
  const slowRate = run(records, slow, 1);
  const allocated = heapBytesOf(records, fast);
  const bytes = Math.round(values.reduce((sum, value) => sum + value.length, 0) / values.length);
  const million = (rate: number): string => (rate / 1e6).toFixed(2);
  lines.push(
    `${name} (${bytes} bytes): ${million(fastRate)} M/s, slow path ${million(slowRate)} M/s, ${allocated.toFixed(1)} heap bytes a record`,
  );
}
process.stdout.write(`${lines.join('\n')}\n`);
