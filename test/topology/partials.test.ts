import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteReader } from '../../src/state/bytes.ts';
import { PartialBody, type WriteName, writeGroupName } from '../../src/topology/partial-body.ts';
import { CELL_NAMES, CELLS, type GroupName, type PartialHeader, readHeader } from '../../src/topology/partials.ts';
import { STREAMS } from '../../src/topology/types.ts';
import { type ReadCell, readPartial } from './read-partial.ts';

const number = fc.oneof(fc.nat(), fc.maxSafeNat(), fc.constantFrom(0, 127, 128, Number.MAX_SAFE_INTEGER));
const id = fc.oneof(
  fc.string({ minLength: 1, unit: 'grapheme', maxLength: 60 }),
  fc.constantFrom('\ufeffx', '__proto__', '漢'.repeat(256)),
);
const ms = fc.option(fc.oneof(fc.integer({ min: -30_000, max: 8.64e15 }), fc.double({ noNaN: true, noDefaultInfinity: true })));

const header: fc.Arbitrary<PartialHeader> = fc.record({
  topic: id,
  partition: fc.nat(100_000),
  stream: fc.constantFrom(...STREAMS),
  partitions: fc.nat(100_000),
  origin: number,
  position: number,
  watermarkMs: ms,
  idle: fc.boolean(),
  endAgeMs: ms,
  lastRecordMs: ms,
  oldestRecordMs: ms,
  claim: number,
  emission: number,
  part: fc.nat(100),
  parts: fc.nat(100),
});
const group: fc.Arbitrary<GroupName> = fc.record({ entity: id, version: fc.nat(2 ** 31 - 1), variant: fc.oneof(fc.constant(''), id) });
const cell = fc.constantFrom(...CELL_NAMES).chain((name) =>
  fc.record({
    name: fc.constant(name),
    of: fc.nat(3),
    time: number,
    values: fc.array(number, { minLength: CELLS[name].columns, maxLength: CELLS[name].columns }),
  }),
);

test('what is packed into a record is read out of it, every number and name', () => {
  fc.assert(
    fc.property(header, fc.array(group, { minLength: 4, maxLength: 4 }), fc.array(cell, { maxLength: 30 }), (mark, groups, cells) => {
      const body = new PartialBody();
      for (const { name, of, time, values } of cells) {
        const write: WriteName = (index, to) => writeGroupName(groups[index], to);
        const place = body.time(name, name === 'segmentUnits' ? time % 4 : time, write);
        const out = body.cell(CELLS[name].kind, of, write);
        for (const value of [place, ...values]) out.varint(value);
      }
      expect(body.empty).toBe(cells.length === 0);
      const read = readPartial(body.take(mark));
      expect(read.header).toEqual(mark);
      expect(read.cells).toEqual(
        cells.map(
          ({ name, of, time, values }): ReadCell => ({
            name,
            ...groups[of],
            ...(name === 'segmentUnits' ? { time: 0, segment: groups[time % 4] } : { time }),
            values,
          }),
        ),
      );
      expect([body.empty, readPartial(body.take(mark)).cells]).toEqual([true, []]);
    }),
  );
});

const MARK: PartialHeader = {
  topic: 'impressions',
  partition: 1,
  stream: 'impressions',
  partitions: 2,
  origin: 0,
  position: 9,
  watermarkMs: null,
  idle: false,
  endAgeMs: null,
  lastRecordMs: null,
  oldestRecordMs: null,
  claim: 1,
  emission: 0,
  part: 0,
  parts: 1,
};

test('a record of a newer format, or of somebody else, is refused by name with what to do', () => {
  const good = new PartialBody().take(MARK);
  const changed = (at: number, value: number): Uint8Array => good.map((byte, i) => (i === at ? value : byte));
  for (const bytes of [changed(1, 3), changed(1, 255), changed(0, 0x7b), new TextEncoder().encode('{"a":1}')]) {
    expect(() => readHeader(new ByteReader(bytes))).toThrow(
      expect.objectContaining({ code: 'partial_format', message: expect.stringContaining('upgrade') }),
    );
  }
});
