import fc from 'fast-check';
import { AssignerProtocol } from 'kafkajs';
import { expect, test } from 'vitest';
import { assignSticky, type StickyMember, stickyAssigner } from '../../../src/topology/sources/sticky-assigner.ts';

type Assignment = Map<string, Record<string, number[]>>;

const TOPICS = ['assignments', 'exposures', 'impressions'];

const placesOf = (owned: Record<string, number[]> | undefined): string[] =>
  Object.entries(owned ?? {}).flatMap(([topic, partitions]) => partitions.map((partition) => `${topic}/${partition}`));
const owners = (assignment: Assignment): Map<string, string> =>
  new Map([...assignment].flatMap(([member, owned]) => placesOf(owned).map((place) => [place, member] as const)));

/** Members that had what this assignment gave them. */
const having = (memberIds: readonly string[], assignment: Assignment, generation = 1): StickyMember[] =>
  memberIds.map((memberId) => {
    const owned = assignment.get(memberId);
    return { memberId, topics: TOPICS, last: owned ? { generation, owned } : null };
  });

const counts = fc.tuple(...TOPICS.map(() => fc.integer({ min: 0, max: 20 }))).map((each) => new Map(TOPICS.map((t, i) => [t, each[i]])));
const ids = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 9 });
const total = (each: ReadonlyMap<string, number>): number => [...each.values()].reduce((sum, count) => sum + count, 0);

function expectSound(assignment: Assignment, each: ReadonlyMap<string, number>): void {
  const places = [...assignment.values()].flatMap(placesOf);
  const wanted = [...each].flatMap(([topic, count]) => Array.from({ length: count }, (_, partition) => `${topic}/${partition}`));
  expect(places.sort()).toEqual(wanted.sort());
  const sizes = [...assignment.values()].map((owned) => placesOf(owned).length);
  expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
}

test('whatever members say they had, every partition is assigned once, to totals at most one apart, the same whatever their order', () => {
  const owned = fc.dictionary(fc.constantFrom(...TOPICS, 'gone'), fc.array(fc.integer({ min: -1, max: 25 })));
  const last = fc.option(fc.record({ generation: fc.integer({ min: -1, max: 3 }), owned }));
  const member = (memberId: string) => last.map((said): StickyMember => ({ memberId, topics: TOPICS, last: said }));
  const members = ids.chain((each) => fc.tuple(...each.map(member)));
  fc.assert(
    fc.property(members, counts, (given, each) => {
      const assignment = assignSticky(given, each);
      expectSound(assignment, each);
      expect(assignSticky([...given].reverse(), each)).toEqual(assignment);
    }),
  );
});

test('nothing moves while nobody comes or goes, and topics are spread evenly at first', () => {
  fc.assert(
    fc.property(ids, counts, (members, each) => {
      const before = assignSticky(having(members, new Map()), each);
      for (const topic of TOPICS) {
        const held = members.map((member) => before.get(member)?.[topic]?.length ?? 0);
        expect(Math.max(...held) - Math.min(...held)).toBeLessThanOrEqual(2);
      }
      expect(assignSticky(having(members, before), each)).toEqual(before);
    }),
  );
});

test('who leaves moves only its own partitions', () => {
  fc.assert(
    fc.property(ids, counts, (members, each) => {
      const before = assignSticky(having(members, new Map()), each);
      const [gone, ...others] = members;
      if (others.length === 0) return;
      const after = assignSticky(having(others, before), each);
      expectSound(after, each);
      const now = owners(after);
      for (const [place, owner] of owners(before)) if (owner !== gone) expect(now.get(place)).toBe(owner);
    }),
  );
});

test('who comes takes its share, and nothing moves between the others', () => {
  fc.assert(
    fc.property(ids, counts, (members, each) => {
      const before = assignSticky(having(members, new Map()), each);
      const after = assignSticky(having([...members, 'newcomer'], before), each);
      expectSound(after, each);
      const was = owners(before);
      let moved = 0;
      for (const [place, owner] of owners(after)) {
        if (owner === was.get(place)) continue;
        expect(owner).toBe('newcomer');
        moved++;
      }
      expect(moved).toBeLessThanOrEqual(Math.ceil(total(each) / (members.length + 1)));
    }),
  );
});

test('of two that name one partition, the one of the later generation keeps it', () => {
  const each = new Map([['exposures', 4]]);
  const said = (memberId: string, generation: number, exposures: number[]): StickyMember => ({
    memberId,
    topics: ['exposures'],
    last: { generation, owned: { exposures } },
  });
  const assignment = assignSticky([said('a', 4, [0, 1]), said('b', 7, [0, 1])], each);
  expect(assignment.get('b')).toEqual({ exposures: [0, 1] });
  expect(assignment.get('a')).toEqual({ exposures: [2, 3] });
});

test('in a rolling restart each comes back to what it had, whose state is still in its folder, and nobody else takes up anything new', () => {
  const each = new Map(TOPICS.map((topic) => [topic, 8]));
  let now = assignSticky(having(['a', 'b', 'c'], new Map()), each);
  for (const [round, leaver] of ['a', 'b', 'c', 'a'].entries()) {
    const before = now;
    const others = ['a', 'b', 'c'].filter((id) => id !== leaver);
    const without = assignSticky(having(others, now, 2 * round + 1), each);
    // A new process: of the generation it only knows that it has been in none.
    const back = { memberId: leaver, topics: TOPICS, last: { generation: 0, owned: before.get(leaver) ?? {} } };
    now = assignSticky([...having(others, without, 2 * round + 2), back], each);
    expect(placesOf(before.get(leaver))).toEqual(expect.arrayContaining(placesOf(now.get(leaver))));
    for (const other of others) expect(placesOf(without.get(other))).toEqual(expect.arrayContaining(placesOf(now.get(other))));
    expectSound(now, each);
  }
});

test('a topic is only given to members that read it', () => {
  const each = new Map([
    ['new', 3],
    ['old', 3],
  ]);
  const assignment = assignSticky(
    [
      { memberId: 'a', topics: ['old'], last: null },
      { memberId: 'b', topics: ['old', 'new'], last: null },
    ],
    each,
  );
  expect(assignment.get('b')?.['new']).toEqual([0, 1, 2]);
  expect(placesOf(assignment.get('a'))).toEqual(['old/0', 'old/1', 'old/2']);
});

test('a member that says nothing, or something else, takes part', async () => {
  const cluster = { findTopicPartitionMetadata: () => Array.from({ length: 4 }, (_, partitionId) => ({ partitionId })) };
  const config = { cluster, groupId: 'g', logger: null } as unknown as Parameters<ReturnType<typeof stickyAssigner>>[0];
  const sticky = stickyAssigner(() => ({ generation: 3, owned: { exposures: [1, 3] } }))(config);
  const encoded = (userData: Buffer): Buffer => AssignerProtocol.MemberMetadata.encode({ version: 1, topics: ['exposures'], userData });
  for (const metadata of [
    encoded(Buffer.alloc(0)),
    encoded(Buffer.from('{"generation":"x"}')),
    encoded(Buffer.from('{}')),
    Buffer.alloc(0),
  ]) {
    const members = [
      { memberId: 'a', memberMetadata: metadata },
      { memberId: 'b', memberMetadata: sticky.protocol({ topics: ['exposures'] }).metadata },
    ];
    const found = await sticky.assign({ members, topics: ['exposures'] });
    const decoded = found.map(({ memberAssignment }) => AssignerProtocol.MemberAssignment.decode(memberAssignment)?.assignment);
    expect(decoded).toEqual([{ exposures: [0, 2] }, { exposures: [1, 3] }]);
  }
});
