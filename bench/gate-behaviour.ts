/** The gate before a real Redis that fails in every way it can, with the settings a bidder has by default. */
import { type GateAnswer, openGate, type PacingGate } from '../src/gate/index.ts';
import { PaceWriter } from '../test/gate/pace-writer.ts';
import { Gate as Way } from '../test/integration/gate.ts';
import { print } from './figures.ts';

const POLL_MS = 10;
const WATCHED_MS = 10_000;
const CLOCK_MS = 600_000;

/** A gate that reads campaign `c` over a way of its own, and who writes it. */
interface Story {
  gate: PacingGate;
  writer: PaceWriter;
  way: Way;
  key: string;
}

interface Fault {
  what: string;
  breaks(story: Story): unknown;
  mends(story: Story): unknown;
}

interface Row {
  what: string;
  answer: string;
  says: string;
}

const FAULTS: readonly Fault[] = [
  {
    what: 'key missing',
    breaks: async ({ writer, key }) => {
      writer.stop();
      await writer.client.del(key);
    },
    mends: ({ writer }) => writer.start(),
  },
  { what: 'stale: nobody writes', breaks: ({ writer }) => writer.stop(), mends: ({ writer }) => writer.start() },
  { what: 'Redis down', breaks: ({ way }) => way.close(), mends: ({ way }) => way.open() },
  {
    what: 'Redis hangs',
    breaks: ({ way }) => {
      way.isStuck = true;
    },
    mends: ({ way }) => {
      way.isStuck = false;
    },
  },
];

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const show = ({ state, reason, multiplier }: GateAnswer): string => `${state} ${multiplier.toFixed(2)} (${reason})`;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

async function open(redisUrl: string, keyPrefix: string, behindMs = 50): Promise<Story> {
  const way = await Way.to(redisUrl);
  const key = `${keyPrefix}pace:{c}`;
  const writer = new PaceWriter(redisUrl, [key]);
  writer.behindMs = behindMs;
  await writer.start();
  const gate = openGate({ redis: way.url, keyPrefix });
  await gate.preload(['c']);
  return { gate, writer, way, key };
}

async function end({ gate, writer, way }: Story): Promise<void> {
  gate.close();
  writer.close();
  await way.close();
}

async function until({ gate }: Story, state: GateAnswer['state']): Promise<{ ms: number; answer: GateAnswer }> {
  const began = performance.now();
  for (;;) {
    const answer = gate.check('c');
    const ms = performance.now() - began;
    if (answer.state === state) return { ms, answer };
    if (ms > 60_000) throw new Error(`still ${show(answer)} after a minute, not ${state}`);
    await sleep(POLL_MS);
  }
}

async function broken({ what, breaks, mends }: Fault, story: Story): Promise<Row> {
  await breaks(story);
  const { ms, answer } = await until(story, 'conservative');
  await mends(story);
  const back = await until(story, 'open');
  return { what, answer: show(answer), says: `${seconds(ms)} after it broke; open again ${seconds(back.ms)} after it was mended` };
}

/** All answers over ten seconds, and how they came about. */
async function watched(what: string, { gate }: Story): Promise<Row> {
  const before = gate.stats;
  const answers = new Set<string>();
  for (const began = performance.now(); performance.now() - began < WATCHED_MS; await sleep(POLL_MS)) answers.add(show(gate.check('c')));
  const { reads, readsFailed, outdated } = gate.stats;
  const counts = [reads - before.reads, readsFailed - before.readsFailed, outdated - before.outdated];
  return {
    what,
    answer: [...answers].join(', '),
    says: `${seconds(WATCHED_MS)}: ${counts[0]} reads, ${counts[1]} failed, ${counts[2]} outdated`,
  };
}

async function faults(redisUrl: string): Promise<Row[]> {
  const stories = await Promise.all(FAULTS.map((_, at) => open(redisUrl, `fault-${at}:`)));
  const rows = await Promise.all(FAULTS.map((fault, at) => broken(fault, stories[at])));
  for (const story of stories) await end(story);
  return rows;
}

async function disorders(redisUrl: string): Promise<Row[]> {
  const [slow, old, ahead, behind] = await Promise.all([
    open(redisUrl, 'slow:'),
    open(redisUrl, 'old:'),
    open(redisUrl, 'ahead:', CLOCK_MS),
    open(redisUrl, 'behind:', -CLOCK_MS),
  ]);
  const dump = await old.writer.client.dumpBuffer(old.key);
  await sleep(2000);
  slow.way.delayMs = 500;
  old.writer.stop();
  await old.writer.client.restore(old.key, 0, dump ?? '', 'REPLACE');
  const rows = await Promise.all([
    watched('Redis slow, 500 ms', slow),
    watched('old values back', old),
    watched('Redis’ clock 10 min ahead of Kafka’s', ahead),
    watched('Redis’ clock 10 min behind Kafka’s', behind),
  ]);
  for (const story of [slow, old, ahead, behind]) await end(story);
  return rows;
}

async function wrongDate(redisUrl: string): Promise<Row> {
  const right = Date.now;
  Date.now = () => right() + CLOCK_MS;
  try {
    const story = await open(redisUrl, 'date:');
    const row = await watched('this machine’s date 10 min wrong', story);
    await end(story);
    return row;
  } finally {
    Date.now = right;
  }
}

/** Prints a table; a minute. */
export async function behaviour(redisUrl: string): Promise<void> {
  print('\nbehaviour before a real Redis; the campaign is open at .50, on plan');
  const rows = [...(await faults(redisUrl)), ...(await disorders(redisUrl)), await wrongDate(redisUrl)];
  for (const { what, answer, says } of rows) print(`  ${what.padEnd(36)} ${answer.padEnd(38)} ${says}`);
}
