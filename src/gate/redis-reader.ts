import { Cluster } from 'ioredis';
import { BRIEF_FIELDS, PACE_FIELDS } from './pace-fields.ts';
import { type PaceText, paceText, SEPARATOR } from './pace-text.ts';
import { ReadScript, redisMsOf } from './read-script.ts';
import type { PaceReader, PaceReading, ReaderListener } from './reader.ts';
import type { RedisClient } from './redis-connection.ts';
import { slotOf } from './redis-slot.ts';

type Fields = readonly string[];
type Pipelined = [error: Error | null, result: unknown];

/** Reads by script where there is one node that lets it, else by HMGET, one pipeline a node. */
export class RedisPaceReader implements PaceReader {
  readonly #client: RedisClient;
  /** Null where scripts are refused, or keys are on several nodes. */
  #script: ReadScript | null;

  /** Owns the client: closes it, and breaks its connection off when answers do not come. */
  constructor(client: RedisClient, listener: ReaderListener) {
    this.#client = client;
    this.#script = client instanceof Cluster ? null : new ReadScript(client);
    client.on('ready', () => listener.onReady());
    // Reads that are refused say so themselves; without a listener ioredis prints it too.
    client.on('error', () => undefined);
  }

  async read(keys: readonly string[], areWhole: boolean): Promise<PaceReading> {
    if (keys.length === 0) return { redisMs: toMs(await this.#client.time()), texts: [] };
    const fields = areWhole ? PACE_FIELDS : BRIEF_FIELDS;
    if (this.#client instanceof Cluster) return readCluster(this.#client, keys, fields);
    if (this.#script !== null) {
      try {
        return await this.#script.read(keys, areWhole);
      } catch (error) {
        if (!isScriptRefused(error)) throw error;
        this.#script = null;
      }
    }
    return readByPipeline(this.#client, keys, fields);
  }

  reconnect(): void {
    const { status } = this.#client;
    if (status === 'ready' || status === 'connect') this.#client.disconnect(true);
  }

  close(): void {
    this.#client.disconnect();
  }
}

/** A user without the right to run scripts, or a proxy that does not know them. */
const isScriptRefused = (error: unknown): boolean => error instanceof Error && /^(NOPERM|ERR unknown command)/.test(error.message);

async function readByPipeline(client: RedisClient, keys: readonly string[], fields: Fields): Promise<PaceReading> {
  const pipeline = client.pipeline();
  pipeline.time();
  for (const key of keys) pipeline.hmget(key, ...fields);
  const [time, ...answers] = (await pipeline.exec()) as Pipelined[];
  if (time[0]) throw time[0];
  return { redisMs: toMs(time[1] as string[]), texts: answers.map(textOf) };
}

function textOf([error, values]: Pipelined): PaceText | null {
  if (error) return error.message.startsWith('WRONGTYPE') ? paceText(SEPARATOR) : null;
  return paceText((values as (string | null)[]).map((value) => value ?? '').join(SEPARATOR));
}

/** A node that does not answer leaves only its own keys unanswered. */
async function readCluster(client: Cluster, keys: readonly string[], fields: Fields): Promise<PaceReading> {
  const groups = new Map<string, number[]>();
  keys.forEach((key, at) => {
    const nodes = client.slots[slotOf(key)]?.join() ?? '';
    const group = groups.get(nodes);
    if (group) group.push(at);
    else groups.set(nodes, [at]);
  });
  const places = [...groups.values()];
  const readings = await Promise.allSettled(
    places.map((group) =>
      readByPipeline(
        client,
        group.map((at) => keys[at]),
        fields,
      ),
    ),
  );
  const texts = new Array<PaceText | null>(keys.length).fill(null);
  let redisMs = Number.NaN;
  readings.forEach((reading, which) => {
    if (reading.status === 'rejected') return;
    // The nodes' clocks should agree; where they do not, values must not look younger than they are.
    redisMs = Number.isNaN(redisMs) ? reading.value.redisMs : Math.max(redisMs, reading.value.redisMs);
    places[which].forEach((at, i) => {
      texts[at] = reading.value.texts[i];
    });
  });
  const failed = readings.find((reading) => reading.status === 'rejected');
  if (Number.isNaN(redisMs)) throw failed?.reason;
  return { redisMs, texts };
}

const toMs = ([seconds, micros]: readonly (string | number)[]): number => redisMsOf(String(seconds), String(micros));
