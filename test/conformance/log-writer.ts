/** What every LogWriter promises (types.ts), told as tests. */
import { expect, test } from 'vitest';
import { PackedRecords } from '../../src/topology/packed-records.ts';
import { partitionOf } from '../../src/topology/sources/murmur2.ts';
import type { LogWriter, OutRecord } from '../../src/topology/types.ts';

export interface WrittenRecord {
  key: string | null;
  value: string | null;
  headers: Record<string, string>;
}

/** A topic that is empty, fresh for each test. */
export interface WriterBed {
  topic: string;
  partitions: number;
  open(): LogWriter;
  /** Everything in one partition, in order. */
  read(partition: number): Promise<WrittenRecord[]>;
  close(): Promise<void>;
}

export const logWriterConformance = (makeBed: () => Promise<WriterBed>): void => {
  const withWriter = (story: (bed: WriterBed, writer: LogWriter) => Promise<void>) => async (): Promise<void> => {
    const bed = await makeBed();
    const writer = bed.open();
    try {
      await story(bed, writer);
    } finally {
      await writer.close();
      await bed.close();
    }
  };

  test(
    'records of one partition keep their order over calls, with headers and nulls',
    withWriter(async (bed, writer) => {
      const record = (value: string | null): OutRecord => ({
        topic: bed.topic,
        partition: 1,
        key: value === null ? null : Buffer.from(`k${value}`),
        value: value === null ? null : Buffer.from(value),
        headers: { reason: 'löß', source_offset: '7' },
      });
      await writer.send([record('1'), record('2'), record(null)]);
      await writer.send([]);
      await writer.send([record('3')]);
      const headers = { reason: 'löß', source_offset: '7' };
      expect(await bed.read(1)).toEqual([
        { key: 'k1', value: '1', headers },
        { key: 'k2', value: '2', headers },
        { key: null, value: null, headers },
        { key: 'k3', value: '3', headers },
      ]);
    }),
  );

  test(
    'calls that overlap keep the order in which they were made',
    withWriter(async (bed, writer) => {
      const calls = Array.from({ length: 20 }, (_, i) =>
        writer.send([{ topic: bed.topic, partition: 0, key: null, value: Buffer.from(`${i}`) }]),
      );
      await Promise.all(calls);
      expect((await bed.read(0)).map(({ value }) => value)).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`));
    }),
  );

  test(
    'without a partition the key decides as in Kafka’s own clients, and a null key goes anywhere',
    withWriter(async (bed, writer) => {
      const keys = ['21', 'foobar', 'a-little-bit-long-string', 'abc', 'camp-1'];
      await writer.send(keys.map((key) => ({ topic: bed.topic, partition: null, key: Buffer.from(key), value: Buffer.from('v') })));
      await writer.send([{ topic: bed.topic, partition: null, key: null, value: Buffer.from('loose') }]);
      let loose = 0;
      for (let partition = 0; partition < bed.partitions; partition++) {
        const written = await bed.read(partition);
        loose += written.filter(({ key }) => key === null).length;
        const expected = keys.filter((key) => partitionOf(Buffer.from(key), 0, Buffer.byteLength(key), bed.partitions) === partition);
        expect(written.flatMap(({ key }) => (key === null ? [] : [key]))).toEqual(expected);
      }
      expect(loose).toBe(1);
    }),
  );

  test(
    'packed records arrive as single ones do: first of all, later, and beside others',
    withWriter(async (bed, writer) => {
      const headers = { reason: 'löß', source_offset: '7' };
      const told: WrittenRecord[] = [];
      for (const round of [1, 2]) {
        const pack = new PackedRecords(bed.topic);
        for (let i = 0; i < 300; i++) {
          const [key, value] = [`k${i % 10}`, i % 100 === 50 ? null : `${round}/${i}`];
          pack.addKey(Buffer.from(key), 0, key.length);
          pack.addValue(value === null ? null : Buffer.from(value), 0, value?.length ?? 0);
          pack.addHeaders(2);
          pack.addText('reason');
          pack.addText('löß');
          pack.addText('source_offset');
          pack.addDigits(7);
          pack.endRecord();
          told.push({ key, value, headers });
        }
        await writer.send([pack, { topic: bed.topic, partition: 0, key: null, value: Buffer.from(`${round} beside`) }]);
      }
      for (let partition = 0; partition < bed.partitions; partition++) {
        const written = (await bed.read(partition)).filter(({ key }) => key !== null);
        const isHere = ({ key }: WrittenRecord) => partitionOf(Buffer.from(key ?? ''), 0, key?.length ?? 0, bed.partitions) === partition;
        expect(written).toEqual(told.filter(isHere));
      }
    }),
  );

  test(
    'much at once arrives whole and in order',
    withWriter(async (bed, writer) => {
      const pad = 'x'.repeat(2000);
      const many = Array.from({ length: 1500 }, (_, i) => ({
        topic: bed.topic,
        partition: 2,
        key: null,
        value: Buffer.from(`${i} ${pad}`),
      }));
      await writer.send(many);
      expect((await bed.read(2)).map(({ value }) => Number.parseInt(value ?? '', 10))).toEqual(many.map((_, i) => i));
    }),
  );
};
