/** Damage to a state topic. `warm`: what comes of it where the next owner has a copy of what counts; the same where not given. */
import { expect } from 'vitest';
import type { StateRecord } from '../../src/state/state-topic.ts';
import type { Damage, Outcome } from './damage.ts';
import { Owner, standingStill } from './damage-life.ts';
import { CODEC, type Slots, type TopicDamageBench } from './damage-topic-bench.ts';
import { zombies } from './damage-zombies.ts';

export type TopicDamage = Damage<TopicDamageBench> & { warm?: Outcome };
type Rows = TopicDamage[];
type Kind = Parameters<TopicDamageBench['listed']>[0];

const flipped = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, bytes[at] ^ 0x10);
const SEED = 0;

/** Changes a record; which one is counted from the end where negative. */
const record =
  (kind: Kind, which: number, change: (record: StateRecord & { value: Uint8Array }) => StateRecord | null) =>
  async (bench: TopicDamageBench): Promise<void> => {
    const { offset } = (await bench.listed(kind)).at(which) as { offset: number };
    await bench.edit((slots) => slots.with(offset, change(slots[offset] as StateRecord & { value: Uint8Array })));
  };
const flipValue = (kind: Kind, which: number) =>
  record(kind, which, (one) => ({ ...one, value: flipped(one.value, one.value.length >> 1) }));
const flipKey = (which: number, at: number) =>
  record('chunk', which, (one) => ({ ...one, key: flipped(one.key, at < 0 ? one.key.length + at : at) }));
const without = (kind: Kind, which: number) => record(kind, which, () => null);
/** Nothing is left between the two offsets. */
const gone = (slots: Slots, from: number, to = slots.length): Slots => slots.map((slot, i) => (i >= from && i < to ? null : slot));

const corrupted = (what: string, [outcome, warm]: [Outcome, Outcome?], after: (bench: TopicDamageBench) => Promise<void>): TopicDamage => ({
  kind: 'a corrupted byte',
  what,
  outcome,
  after,
  ...(warm ? { warm } : {}),
});

const CORRUPTED: Rows = [
  corrupted('in the last commit', ['state_corrupt'], flipValue('chunk', -1)),
  corrupted('in a commit before the last', ['state_corrupt', 'harmless'], flipValue('chunk', -2)),
  corrupted('in the key of the last commit, so that it is of another task', ['harmless'], flipKey(-1, 3)),
  corrupted('in the rest of that key', ['state_corrupt'], flipKey(-1, -1)),
  corrupted('in the key of a commit before, so that it is of another task', ['state_corrupt', 'harmless'], flipKey(-2, 3)),
  corrupted('in the claim of the second owner', ['state_corrupt', 'harmless'], flipValue('claim', -1)),
  corrupted('in the claim of the snapshot', ['state_corrupt', 'harmless'], flipValue('claim', 1)),
  corrupted('in a slice of the snapshot', ['state_corrupt', 'harmless'], flipValue('chunk', 3)),
  corrupted('in the mark of the snapshot', ['state_corrupt', 'harmless'], flipValue('complete', 0)),
  corrupted('in what the snapshot has replaced', ['harmless'], flipValue('chunk', 1)),
  corrupted('in the hash seed', ['state_corrupt'], (bench) =>
    bench.edit((slots) => slots.with(SEED, { ...(slots[SEED] as StateRecord), value: flipped(slots[SEED]?.value as Uint8Array, 6) })),
  ),
];

const truncated = (
  what: string,
  outcome: Outcome,
  after: Damage<TopicDamageBench>['after'],
  more: Partial<TopicDamage> = {},
): TopicDamage => ({
  kind: 'a truncated file',
  what,
  outcome,
  ...(after ? { after } : {}),
  ...more,
});

const cutValue = (which: number, left: number) => record('chunk', which, (one) => ({ ...one, value: one.value.subarray(0, left) }));
const cutBefore =
  (kind: Kind, which: number, plus = 0) =>
  async (bench: TopicDamageBench): Promise<void> => {
    const { offset } = (await bench.listed(kind)).at(which) as { offset: number };
    await bench.edit((slots) => slots.slice(0, offset + plus));
  };
const beginAt =
  (kind: Kind, which: number, plus = 0) =>
  async (bench: TopicDamageBench): Promise<void> => {
    const { offset } = (await bench.listed(kind)).at(which) as { offset: number };
    await bench.edit((slots) => gone(slots, SEED + 1, offset + plus));
  };

const TRUNCATED: Rows = [
  truncated('the record of the last commit', 'state_corrupt', cutValue(-1, 20)),
  truncated('the record of a commit before, to nothing', 'state_corrupt', cutValue(-2, 0), { warm: 'harmless' }),
  truncated('the topic, which lost its last commit', 'harmless', cutBefore('chunk', -1)),
  truncated('the topic, which lost the second owner', 'harmless', cutBefore('claim', -1)),
  truncated('the topic, in the middle of the snapshot', 'harmless', cutBefore('chunk', 4)),
  truncated('the topic, in the middle of the snapshot, when what that replaced is compacted', 'state_corrupt', async (bench) => {
    await cutBefore('chunk', 4)(bench);
    await without('chunk', 0)(bench);
  }),
  truncated('the topic, which lost what the snapshot has replaced', 'harmless', beginAt('claim', 1)),
  truncated('the topic, which lost its beginning with the claim of the snapshot', 'state_corrupt', beginAt('claim', 1, 1), {
    warm: 'harmless',
  }),
  truncated('the topic, which lost all but the seed', 'harmless', cutBefore('claim', 0)),
  truncated('the topic, which lost all but the seed, and the input its beginning', 'state_lost', cutBefore('claim', 0), { inputBegins: 1 }),
];

const missing = (what: string, outcome: Outcome, after: NonNullable<Damage<TopicDamageBench>['after']>, more: Partial<TopicDamage> = {}) =>
  ({ kind: 'a missing segment', what, outcome, after, ...more }) as const satisfies TopicDamage;

const MISSING: Rows = [
  missing('of the second owner', 'harmless', async (bench) => {
    const { offset } = (await bench.listed('claim')).at(-1) as { offset: number };
    await bench.edit((slots) => gone(slots, offset));
  }),
  missing(
    'of the second owner, after which a third one went on',
    'state_corrupt',
    async (bench, life) => {
      const { offset } = (await bench.listed('claim')).at(-1) as { offset: number };
      const third = await Owner.open(life, bench.process());
      await third.until(life.end);
      const claims = await bench.listed('claim');
      await bench.edit((slots) => gone(slots, offset, claims.at(-1)?.offset));
    },
    { warm: 'harmless' },
  ),
  missing(
    'between the snapshot and the second owner',
    'state_corrupt',
    async (bench) => {
      const [mark] = await bench.listed('complete');
      const claims = await bench.listed('claim');
      await bench.edit((slots) => gone(slots, mark.offset + 1, claims.at(-1)?.offset));
    },
    { warm: 'harmless' },
  ),
  missing('a slice of the snapshot', 'state_corrupt', without('chunk', 4), { warm: 'harmless' }),
  missing('the mark of the snapshot', 'harmless', without('complete', 0)),
  missing(
    'the mark of the snapshot, when what that replaced is compacted',
    'state_corrupt',
    async (bench) => {
      await without('complete', 0)(bench);
      await without('chunk', 0)(bench);
    },
    { warm: 'harmless' },
  ),
  missing('the claim of the second owner', 'state_corrupt', without('claim', -1), { warm: 'harmless' }),
  missing('the hash seed: another is drawn', 'state_other_seed', (bench) => bench.edit((slots) => slots.with(SEED, null))),
  missing('all of it', 'harmless', (bench) => bench.edit(() => [])),
  missing('all of it, and the input has lost its beginning', 'state_lost', (bench) => bench.edit(() => []), { inputBegins: 1 }),
];

const duplicated = (what: string, more: Partial<TopicDamage>): TopicDamage => ({
  kind: 'a duplicated commit',
  what,
  outcome: 'harmless',
  ...more,
});

const DUPLICATED: Rows = [
  duplicated('the last record again', { after: (bench) => bench.edit((slots) => [...slots, slots[slots.length - 1]]) }),
  duplicated('all records again, claims and marks too', { after: (bench) => bench.edit((slots) => [...slots, ...slots.slice(1)]) }),
  duplicated('written again by a retry, under a key of its own', {
    later: async (bench, _first, second) => {
      const commit = second.next();
      await second.log.append(commit);
      const { record } = (await bench.listed('chunk')).at(-1) as { record: Parameters<typeof again>[0] };
      const topic = bench.topic.connect();
      await topic.append(0, () => [again(record, commit)]);
      await topic.close();
    },
  }),
  duplicated('that stands still, written twice', {
    later: async (bench, _first, second) => {
      await second.until(second.life.leftAt);
      await standingStill(second);
      await bench.edit((slots) => [...slots, slots[slots.length - 1]]);
    },
  }),
  // A claim has another name then, so what its owner wrote is as if never written.
  duplicated('that pushes all that follows to other offsets', {
    after: async (bench) => {
      const { offset } = (await bench.listed('chunk')).at(3) as { offset: number };
      await bench.edit((slots) => slots.toSpliced(offset, 0, slots[offset]));
    },
  }),
];

/** The same commit as another attempt of its owner would send it. */
const again = (record: { kind: 'chunk'; claim: number; seq: number; before: number | null }, commit: Parameters<typeof CODEC.chunk>[1]) =>
  CODEC.chunk({ claim: record.claim, seq: record.seq, before: record.before ?? 0 }, commit, 0);

/** Offsets of the chunks of a commit, which is counted from the first one, or from the last where negative. */
async function chunksOf(bench: TopicDamageBench, commit: number): Promise<number[]> {
  const chunks = (await bench.listed('chunk')).map(({ offset, record: one }) => ({ offset, seq: one.kind === 'chunk' ? one.seq : -1 }));
  const seq = [...new Set(chunks.map((one) => one.seq))].at(commit);
  const offsets = chunks.filter((one) => one.seq === seq).map(({ offset }) => offset);
  expect(offsets.length).toBeGreaterThan(1);
  return offsets;
}

const withoutChunk = (commit: number, which: number) => async (bench: TopicDamageBench) => {
  const offset = (await chunksOf(bench, commit)).at(which) as number;
  await bench.edit((slots) => slots.with(offset, null));
};

const chunk = (what: string, outcome: Outcome, after: NonNullable<TopicDamage['after']>, warm?: Outcome): TopicDamage => ({
  kind: 'a missing chunk',
  what,
  outcome,
  after,
  chunked: true,
  ...(warm ? { warm } : {}),
});

const CHUNKS: Rows = [
  chunk('the last one of the last commit', 'harmless', withoutChunk(-1, -1)),
  chunk('the first one of the last commit', 'harmless', withoutChunk(-1, 0)),
  chunk('the first one of a commit before', 'state_corrupt', withoutChunk(-2, 0), 'harmless'),
  chunk('the last one of a commit before', 'state_corrupt', withoutChunk(-2, -1), 'harmless'),
  chunk('one of the snapshot', 'state_corrupt', withoutChunk(3, 1), 'harmless'),
  chunk('one of what the snapshot has replaced', 'harmless', withoutChunk(1, 0)),
  chunk('none, but two have changed places', 'harmless', async (bench) => {
    const [one, two] = await chunksOf(bench, -2);
    await bench.edit((slots) => slots.with(one, slots[two]).with(two, slots[one]));
  }),
  chunk('none, but one is there twice', 'harmless', async (bench) => {
    const [one, two] = await chunksOf(bench, -1);
    await bench.edit((slots) => slots.toSpliced(two, 0, slots[one]));
  }),
];

export const TOPIC_DAMAGES: Rows = [...CORRUPTED, ...TRUNCATED, ...MISSING, ...DUPLICATED, ...CHUNKS, ...zombies<TopicDamageBench>()];
