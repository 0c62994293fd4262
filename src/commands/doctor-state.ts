/** Can the state folder be written, is its seed there, and does what it holds fit the topics as they are now? */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, readFile, rmdir, stat, statfs, unlink, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { outputTopic, type Settings } from '../config.ts';
import { StreamError } from '../errors.ts';
import { TODO_PARTITIONS } from '../state/header.ts';
import { KIND, MAGIC, readFrames } from '../state/segment-file.ts';
import { unwritable } from '../state/state-folder.ts';
import type { StateHeader } from '../topology/types.ts';
import type { Topics } from './doctor-kafka.ts';
import { type Finding, failedCheck } from './doctor-report.ts';

const name = 'state';
const SCARCE_BYTES = 1 << 30;
/** Task folders that are looked into. */
const MOST_TASKS = 500;

/** @param topics null where Kafka did not tell */
export async function checkState(settings: Settings, topics: Promise<Topics | null>): Promise<Finding[]> {
  const { STATE_STORE: kind, STATE_DIR: given } = settings.env;
  if (kind === 'kafka') return checkCopies(resolve(given), topics, outputTopic(settings, 'state'));
  if (kind !== 'dir') {
    return [
      {
        name,
        status: 'warning',
        says: `STATE_STORE is ${kind}: state is lost at the end of the process.`,
        todo: 'For more than a trial set STATE_STORE=dir.',
      },
    ];
  }
  const folder = resolve(given);
  try {
    const free = await tryFolder(folder);
    const findings = [await checkSeed(settings, folder)];
    findings.push(...comparePartitions(folder, await headersIn(folder), await topics));
    const gib = (free / 2 ** 30).toFixed(1);
    if (free < SCARCE_BYTES) {
      findings.push({
        name,
        status: 'warning',
        says: `${folder} has ${gib} GiB free.`,
        todo: 'Free space there, or set STATE_DIR to a larger disk.',
      });
    }
    const writable: Finding = { name, status: 'ok', says: `${folder} can be written, ${gib} GiB free.` };
    return [writable, ...findings.filter(({ status }) => status !== 'ok')];
  } catch (error) {
    const finding = failedCheck(name, error, 'Set STATE_DIR to a folder that this user may write.');
    // `unwritable` says what and what to do in one.
    const [, says, todo] = error instanceof StreamError ? (/^(.*\)): (.*)$/.exec(error.message) ?? []) : [];
    return [says && todo ? { ...finding, says: `${says}.`, todo: todo[0].toUpperCase() + todo.slice(1) } : finding];
  }
}

/** The topic's settings are looked at with those of the others. A folder that cannot be written only makes restarts slower. */
async function checkCopies(folder: string, topics: Promise<Topics | null>, topic: string): Promise<Finding[]> {
  const known = await topics;
  const todo = 'Set STATE_DIR to a folder that this user may write, or `exposure-stream migrate --topics` for the topic.';
  if (known !== null && !known.has(topic)) {
    return [{ name, status: 'error', says: `There is no topic ${topic}.`, todo, code: 'topic_missing' }];
  }
  try {
    await tryFolder(folder);
    const copies = join(folder, 'kafka');
    const sound: Finding = { name, status: 'ok', says: `State is kept in ${topic}, copies of it in ${folder}.` };
    return [sound, ...comparePartitions(copies, await headersIn(copies), known)];
  } catch (error) {
    return [{ ...failedCheck(name, error, todo), status: 'warning' }];
  }
}

/** Writes as `run` would, and takes away what it made. Resolves with the bytes free there. */
async function tryFolder(folder: string): Promise<number> {
  const made: string[] = [];
  try {
    await makeFolder(folder, made);
    const trial = join(folder, `doctor.${randomBytes(6).toString('hex')}`);
    await writeFile(trial, 'x', { flag: 'wx' });
    await unlink(trial);
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    throw unwritable(error, folder);
  } finally {
    for (const path of made.reverse()) await rmdir(path);
  }
}

/** One level at a time, noting what was made: Node's recursive mkdir never ends where the file system says ENOENT for all (/proc). */
async function makeFolder(folder: string, made: string[]): Promise<void> {
  const mode = await modeOf(folder);
  if (mode === null) {
    await makeFolder(dirname(folder), made);
    await mkdir(folder);
    made.push(folder);
    return;
  }
  // The superuser may write there all the same; the user that `run` should have may not.
  if ((mode & 0o222) === 0) throw Object.assign(new Error(`mode ${(mode & 0o777).toString(8)}`), { code: 'EACCES' });
}

const modeOf = (path: string): Promise<number | null> =>
  stat(path).then(
    ({ mode }) => mode,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    },
  );

async function checkSeed({ env }: Settings, folder: string): Promise<Finding> {
  if (env.STATE_HASH_SEED !== undefined) return { name, status: 'ok', says: 'STATE_HASH_SEED is set.' };
  const path = join(folder, 'hash-seed');
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null || /^[0-9a-f]{16}\s*$/i.test(text)) return { name, status: 'ok', says: 'The hash seed is sound, or yet to be drawn.' };
  const says = `${path} does not hold 16 hex digits.`;
  return { name, status: 'error', says, todo: 'Restore it, or set STATE_HASH_SEED.', code: 'state_corrupt' };
}

function comparePartitions(folder: string, headers: readonly StateHeader[], topics: Topics | null): Finding[] {
  const said = new Map<string, Finding>();
  for (const [topic, before] of headers.flatMap(({ partitionCounts }) => Object.entries(partitionCounts))) {
    const now = topics?.get(topic)?.partitions;
    if (now === undefined || now === before) continue;
    said.set(topic, {
      name: 'partitions',
      status: 'error',
      says: `${topic} has ${now} partitions and had ${before} when the state in ${folder} began: keys now lie in other partitions than their state.`,
      todo: `${TODO_PARTITIONS}.`,
      code: 'partition_count_changed',
    });
  }
  return [...said.values()];
}

/** Headers of `<stage>/<topic>/<partition>/<claim>.log` (or `.copy`), of each task the one that counts. The copies of the state topic are laid out alike. */
async function headersIn(folder: string): Promise<StateHeader[]> {
  const entries = await readdir(folder, { recursive: true }).catch(() => []);
  const newest = new Map<string, string>();
  for (const path of entries.filter((entry) => /^(ingest|evaluate)\/[^/]+\/\d+\/\d+\.(log|copy)$/.test(entry)).sort()) {
    newest.set(dirname(path), join(folder, path));
  }
  const read = await Promise.all([...newest.values()].slice(0, MOST_TASKS).map(headerOf));
  return read.flatMap((header) => header ?? []);
}

/** Null where there is none; a broken segment is for `run` to name. */
async function headerOf(path: string): Promise<StateHeader | null> {
  const file = await open(path, constants.O_RDONLY);
  try {
    const { size } = await file.stat();
    const frame = (await readFrames(file, MAGIC.length, size).next()).value;
    if (!frame || frame.payload[0] !== KIND.header) return null;
    const head = JSON.parse(new TextDecoder().decode(frame.payload.subarray(1))) as {
      header: StateHeader;
      countedHeader: StateHeader | null;
    };
    return size > frame.end ? head.header : head.countedHeader;
  } catch {
    return null;
  } finally {
    await file.close();
  }
}
