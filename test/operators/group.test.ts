import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GroupTable } from '../../src/operators/group.ts';
import { ByteReader, ByteWriter } from '../../src/state/bytes.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { makeIdBlock } from '../../src/state/id-block.ts';
import type { ByteRef } from '../../src/topology/types.ts';

const ref = (text: string): ByteRef => {
  const bytes = Buffer.from(`.${text}.`);
  return { bytes, start: 1, end: bytes.length - 1 };
};
const seeded = new SeededHash(new Uint8Array(8));
const tableOf = (): GroupTable => new GroupTable(seeded, 1000);
const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.constantFrom('', '\ufeff', '\ufeffa', '__proto__', '{}:'));

test('a group keeps its names, whatever is in them, and different names are different groups', () => {
  const names = fc.array(fc.tuple(text, fc.nat(2 ** 31 - 1), text), { maxLength: 30 });
  fc.assert(
    fc.property(names, (all) => {
      const groups = tableOf();
      const indices = all.map(([entity, version, variant]) => groups.intern(ref(entity), version, ref(variant)));
      expect(indices.map((index) => groups.nameOf(index))).toEqual(all.map(([entity, version, variant]) => ({ entity, version, variant })));
      expect(groups.size).toBe(new Set(all.map((one) => JSON.stringify(one))).size);
    }),
  );
});

test('where one name ends and the next begins is part of a group', () => {
  const groups = tableOf();
  const indices = [groups.intern(ref('ab'), 1, ref('c')), groups.intern(ref('a'), 1, ref('bc')), groups.intern(ref('abc'))];
  expect(indices).toEqual([0, 1, 2]);
});

const hashOf = (text: string): number => {
  const { bytes, start, end } = ref(text);
  seeded.bytes(bytes, start, end);
  return seeded.lo;
};

const findCampaign = (groups: GroupTable, name: string): number => {
  const { bytes, start, end } = ref(name);
  const block = makeIdBlock();
  Object.assign(block, { bytes, size: 1 });
  block.starts[0] = start;
  block.ends[0] = end;
  block.hashes[0] = hashOf(name);
  groups.findCampaigns(block);
  return block.indices[0];
};

test('a campaign is found by its id and hash alone; what is no campaign of that name is not', () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 30 }), text, (campaigns, other) => {
      const groups = tableOf();
      // Groups of an experiment with the same name, and names whose packed bytes overlap, must not be taken for it.
      for (const name of campaigns) groups.intern(ref(name), 3, ref('v'));
      for (const name of campaigns) expect(findCampaign(groups, name)).toBe(-1);
      for (const name of campaigns) {
        const group = groups.intern(ref(name));
        // An empty id in a block is that of a record of which it is not known.
        expect(findCampaign(groups, name)).toBe(name === '' ? -1 : group);
        expect(groups.findCampaign(ref(name), hashOf(name))).toBe(group);
      }
      expect(findCampaign(groups, other) >= 0).toBe(other !== '' && campaigns.includes(other));
    }),
  );
  const groups = tableOf();
  const long = 'x'.repeat(200);
  expect([groups.intern(ref(long)), findCampaign(groups, long), groups.intern(ref(long))]).toEqual([0, -1, 0]);
});

test('a name is written as a partial has it', () => {
  fc.assert(
    fc.property(text, fc.nat(2 ** 31 - 1), text, (entity, version, variant) => {
      const groups = tableOf();
      const out = new ByteWriter();
      groups.writeName(groups.intern(ref(entity), version, ref(variant)), out);
      const from = new ByteReader(out.take());
      expect([from.string(), from.varint(), from.string(), from.done]).toEqual([entity, version, variant, true]);
    }),
  );
});
