import fc from 'fast-check';
import { expect, test } from 'vitest';
import { kafkaClient } from '../../../src/topology/sources/kafka-client.ts';
import { decodeSet } from '../../../src/topology/sources/kafkajs-decoding.ts';
import { writeRecordBatch } from '../../../src/topology/sources/record-batch-writer.ts';
import { openRecordSet } from '../../../src/topology/sources/record-set.ts';

const nothing = (): void => undefined;
// Registers the codecs that kafkajs decodes with.
kafkaClient({ brokers: ['127.0.0.1:1'], clientId: 'test' }, { debug: nothing, info: nothing, warn: nothing, error: nothing });

const bytes = fc.option(fc.uint8Array({ maxLength: 300 }));
const record = fc.record({
  key: bytes,
  value: bytes,
  // Not `constructor`: kafkajs, which reads them here, would find one already.
  headers: fc.dictionary(
    // Some come again, with the value before or another.
    fc.oneof(
      fc.constantFrom('hat', 'hut'),
      fc.string({ maxLength: 20, unit: 'grapheme' }).map((name) => `h${name}`),
    ),
    fc.oneof(fc.constantFrom('', 'same', 'löß'), fc.string({ maxLength: 80, unit: 'grapheme' })),
    {
      maxKeys: 4,
      noNullPrototype: true,
    },
  ),
});

const list = (content: Uint8Array | null): number[] | null => content && [...content];

test('kafkajs reads out of a batch what was written into it, headers included, in every codec', async () => {
  const records = fc.array(record, { minLength: 1, maxLength: 80 });
  await fc.assert(
    fc.asyncProperty(records, fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 2e12 }), async (given, codec, timestampMs) => {
      const set = await openRecordSet(await writeRecordBatch(given, { timestampMs, codec }));
      const messages = (await decodeSet(set)) as (Awaited<ReturnType<typeof decodeSet>>[number] & { headers: Record<string, Buffer> })[];
      expect(set.fault).toBeNull();
      expect(
        messages.map(({ offset, timestamp, key, value, headers }) => ({
          offset,
          timestamp,
          key: list(key),
          value: list(value),
          headers: Object.entries(headers).map(([name, text]) => [name, text.toString()]),
        })),
      ).toEqual(
        given.map(({ key, value, headers }, i) => ({
          offset: String(i),
          timestamp: String(timestampMs),
          key: list(key),
          value: list(value),
          headers: Object.entries(headers),
        })),
      );
    }),
    { numRuns: 150 },
  );
});
