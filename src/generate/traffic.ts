/** Seeded traffic with known truth: three topics in one order, the order in which they were produced. */
import { STREAMS, type Stream } from '../topology/types.ts';
import { resolveSettings, type TrafficSettings } from './settings.ts';
import { type SourceRecord, StreamTraffic } from './stream.ts';
import { summarise, type Truth } from './truth.ts';
import { World } from './world.ts';

export interface Traffic extends Iterable<SourceRecord> {
  readonly settings: TrafficSettings;
  /** Records all told. */
  readonly total: number;
  /** What must come out, once every record has been taken; an error before. */
  truth(): Truth;
}

/**
 * Records in the order to be produced: the order inside a partition decides watermark and lateness, and offset i of a
 * partition is its i-th record. Made one by one, to be taken once. Missing settings take their defaults; a wrong one
 * throws `bad_setting`.
 */
export const generateTraffic = (given: Partial<TrafficSettings> = {}): Traffic => {
  const settings = resolveSettings(given);
  const world = new World(settings);
  const streams = STREAMS.map((stream) => new StreamTraffic(stream, settings, world));
  let isFinished = false;

  function* records(): Generator<SourceRecord, void, undefined> {
    for (;;) {
      let next = streams[0];
      for (const stream of streams) if (stream.nextMs < next.nextMs) next = stream;
      if (next.nextMs === Infinity) break;
      yield next.take();
    }
    isFinished = true;
  }
  const sequence = records();

  return {
    settings,
    total: STREAMS.reduce((total, stream) => total + settings[stream], 0),
    [Symbol.iterator]: () => sequence,
    truth: () => {
      if (!isFinished) throw new Error('The truth is known when all traffic has been taken.');
      return summarise(
        settings,
        world,
        Object.fromEntries(STREAMS.map((stream, i) => [stream, streams[i].truth])) as Record<Stream, (typeof streams)[number]['truth']>,
      );
    },
  };
};
