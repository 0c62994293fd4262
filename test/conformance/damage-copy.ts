/**
 * Damage to the warm copy of a state topic: always harmless, for it is never believed over the topic. The first file is of the
 * snapshot and what came after it, the second of the second owner.
 */
import { copyFile, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { FRAME_HEAD_BYTES } from '../../src/state/segment-file.ts';
import type { Damage, Kind } from './damage.ts';
import type { TopicDamageBench } from './damage-topic-bench.ts';

const MAGIC_BYTES = 8;

const copy = (kind: Kind, what: string, change: (path: string, other: string) => Promise<void>, file = 1): Damage<TopicDamageBench> => ({
  kind,
  what: `of the copy: ${what}`,
  outcome: 'harmless',
  after: async (bench) => {
    const paths = await bench.copies();
    await change(paths[file], paths[1 - file]);
  },
});

const edited = (change: (bytes: Buffer, frames: number[]) => Uint8Array) => async (path: string) => {
  const bytes = await readFile(path);
  const frames: number[] = [];
  for (let at = MAGIC_BYTES; at < bytes.length; at += FRAME_HEAD_BYTES + bytes.readUInt32LE(at)) frames.push(at);
  await writeFile(path, change(bytes, frames));
};
const flippedAt = (place: (frames: number[], bytes: Buffer) => number) =>
  edited((bytes, frames) => {
    const at = place(frames, bytes);
    return bytes.with(at, bytes[at] ^ 0x10);
  });

export const COPY_DAMAGES: readonly Damage<TopicDamageBench>[] = [
  copy(
    'a corrupted byte',
    'in what names its format',
    flippedAt(() => 3),
  ),
  copy(
    'a corrupted byte',
    'in its head',
    flippedAt(([head]) => head + 30),
  ),
  copy(
    'a corrupted byte',
    'in the last commit',
    flippedAt((_frames, bytes) => bytes.length - 5),
  ),
  copy(
    'a corrupted byte',
    'in a commit before',
    flippedAt(([, first]) => first + 40),
  ),
  copy(
    'a corrupted byte',
    'in the snapshot',
    flippedAt(([, first]) => first + 40),
    0,
  ),
  copy(
    'a truncated file',
    'in the last commit',
    edited((bytes) => bytes.subarray(0, -5)),
  ),
  copy(
    'a truncated file',
    'in its first commit',
    edited((bytes, [, first]) => bytes.subarray(0, first + 20)),
  ),
  copy('a truncated file', 'to nothing', (path) => truncate(path)),
  copy(
    'a truncated file',
    'the older one, in its last commit',
    edited((bytes) => bytes.subarray(0, -5)),
    0,
  ),
  copy('a missing segment', 'the newer file', (path) => rm(path)),
  copy('a missing segment', 'the older file', (path) => rm(path), 0),
  copy(
    'a duplicated commit',
    'the last frame again',
    edited((bytes, frames) => Buffer.concat([bytes, bytes.subarray(frames.at(-1))])),
  ),
  copy('a duplicated commit', 'the older file in the place of the newer one', (path, other) => copyFile(other, path)),
];
