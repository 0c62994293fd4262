import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type ByteReader, ByteWriter } from '../../src/state/bytes.ts';
import { readSections, type Section, writeSections } from '../../src/topology/evaluate-sections.ts';
import type { Commit } from '../../src/topology/types.ts';
import { SECOND, START, Story } from './drive.ts';
import { Fed, spend } from './fed.ts';

/** Written by version 0.1 before its commits had sections; made once with the stories below, never again. */
interface Fixture {
  evaluate: Hex[];
  shown: Record<string, number>;
  ingest: Record<string, Hex[]>;
}
interface Hex {
  from: number;
  to: number;
  changes: string;
}

const fixture = JSON.parse(readFileSync(new URL('./fixtures/state-format-1.json', import.meta.url), 'utf8')) as Fixture;
const commitOf = ({ from, to, changes }: Hex): Commit => ({ from, to, changes: Uint8Array.from(Buffer.from(changes, 'hex')) });

const section = (id: number, says: string, heard: string[] = []): Section => ({
  id,
  write: (out) => {
    for (const byte of Buffer.from(says)) out.u8(byte);
  },
  read: (from) => void heard.push(Buffer.from(from.bytes(from.remaining)).toString()),
});

const readAll: (...args: Parameters<typeof readSections>) => void = (...args) => {
  for (const _ of readSections(...args));
};

const sectioned = (...sections: Section[]): Uint8Array => {
  const out = new ByteWriter();
  writeSections(out, sections);
  return out.take();
};

test('a state of evaluate from before there were sections is read whole, and goes on in the new layout', () => {
  const fed = new Fed({ commits: fixture.evaluate.map(commitOf) });
  expect(fed.shown()).toEqual(fixture.shown);
  fed.take([spend('c', 12)]);
  const restored = new Fed({ commits: [...fixture.evaluate.map(commitOf), fed.commit()] });
  expect(restored.shown()).toEqual({ ...fixture.shown, 'spend:{c}:2026-03-02': 12 });
  expect(restored.stage.state.sources.all().map(({ topic, watermarkMs }) => [topic, watermarkMs])).toEqual([
    ['impressions', START + 5],
    ['exposures', START - 1000],
  ]);
});

test('a state of ingest from before its cells were named goes on: what it has seen is a duplicate, what it has counted stands', async () => {
  const story = new Story();
  const opened = await story.started({ stages: ['ingest'] });
  opened.kill();
  for (const [name, commits] of Object.entries(fixture.ingest)) {
    const entries = story.disk.logs.get(name);
    const claim = entries?.[0];
    if (name.startsWith('ingest/')) entries?.push(...commits.map((commit) => ({ claim: claim?.claim ?? 0, commit: commitOf(commit) })));
  }
  for (const again of [false, true]) {
    story.exposure({ at: 0, unit_id: 'u1', event_id: again ? 'event 0' : 'the first three are behind the state' });
    story.exposure({ at: SECOND, unit_id: 'u2', variant_id: 'b', event_id: 'event 1' });
    story.exposure({ at: 2 * SECOND, unit_id: 'u1', variant_id: 'b', event_id: 'event 2' });
    story.impression({ at: 0, spend_micros: 11, event_id: 'event 3' });
  }
  const process = await story.started();
  await story.pass(3000);
  expect(process.failures).toEqual([]);
  expect(process.dispositions('exposures')).toEqual([3, 3, 0, 0]);
  expect(process.dispositions('impressions')).toEqual([1, 1, 0, 0]);
  story.impression({ at: 0, spend_micros: 4 });
  story.exposure({ at: 0, unit_id: 'u2' });
  await story.pass(3000);
  expect(process.dispositions('exposures')).toEqual([4, 3, 0, 0]);
  expect(story.side('violations').map(({ offset }) => offset)).toEqual([6]);
});

test('what a section wrote is what it reads, in whatever order the sections come; one that had nothing to say is not there', () => {
  const heard: string[] = [];
  const known = new Map([1, 2, 300].map((id) => [id, section(id, '', heard)]));
  readAll(sectioned(section(300, 'last'), section(1, ''), section(2, 'x'.repeat(1000))), known);
  expect(heard).toEqual(['last', 'x'.repeat(1000)]);
});

test('a section that this program does not know is refused by name, before anything else of it is believed', () => {
  expect(() => readAll(sectioned(section(1, 'a'), section(77, 'b')), new Map([[1, section(1, '')]]))).toThrow(
    expect.objectContaining({ code: 'state_newer_format', message: expect.stringContaining('77') }),
  );
});

test('a section cannot read beyond its end', () => {
  const greedy: Section = { id: 1, write: () => {}, read: (from: ByteReader) => void from.bytes(5) };
  expect(() => readAll(sectioned(section(1, 'four'), section(2, 'more')), new Map([[1, greedy]]))).toThrow(RangeError);
});
