/**
 * Reads many `pace:` keys of one Redis at once. A bidder asks for ten thousand a second beside its auctions, so one script
 * and one answer for five hundred of them, and of the question only what has changed is put into bytes again.
 */
import { createHash } from 'node:crypto';
import { Command, type Redis } from 'ioredis';
import { BRIEF_FIELDS, PACE_FIELDS } from './pace-fields.ts';
import type { PaceText } from './pace-text.ts';
import type { PaceReading } from './reader.ts';

/**
 * KEYS     hashes
 * ARGV     fields
 * Returns  Redis TIME (seconds, microseconds), and one text: for each key its fields' values, an absent one empty, with
 *          line feeds between, and before them how many bytes they are and a colon; a line feed alone for a key that is no hash.
 */
const READ = `
local time = redis.call('TIME')
local parts = {}
for _, key in ipairs(KEYS) do
  local values = redis.pcall('HMGET', key, unpack(ARGV))
  local text = '\\n'
  if not values.err then
    for i = 1, #ARGV do values[i] = values[i] or '' end
    text = table.concat(values, '\\n')
  end
  parts[#parts + 1] = #text
  parts[#parts + 1] = ':'
  parts[#parts + 1] = text
end
return { time[1], time[2], table.concat(parts) }
`;
const READ_SHA = createHash('sha1').update(READ).digest('hex');

/** Questions that are kept; a bidder with more campaigns than these hold has them put into bytes each time. */
const MAX_KEPT = 256;
const COLON = 58;
const ZERO = 48;

type Answer = [seconds: Buffer, micros: Buffer, texts: Buffer];

/** A command whose bytes are known. */
class Encoded extends Command {
  readonly #bytes: Buffer;

  constructor(name: string, bytes: Buffer) {
    super(name, [], { replyEncoding: null });
    this.#bytes = bytes;
  }

  override toWritable(): Buffer {
    return this.#bytes;
  }
}

export class ReadScript {
  readonly #client: Redis;
  /** By the first key: mostly the same campaigns are asked for again and again, in the same order. */
  readonly #kept = new Map<string, { keys: readonly string[]; bytes: Buffer }>();

  constructor(client: Redis) {
    this.#client = client;
  }

  async read(keys: readonly string[], areWhole: boolean): Promise<PaceReading> {
    try {
      return readingOf(await this.#send('evalsha', areWhole ? wholeQuestion(keys) : this.#briefQuestion(keys)), keys.length);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return readingOf(await this.#send('eval', encode(['eval', READ, ...rest(keys, areWhole)])), keys.length);
    }
  }

  #send(name: string, bytes: Buffer): Promise<Answer> {
    return this.#client.sendCommand(new Encoded(name, bytes)) as Promise<Answer>;
  }

  #briefQuestion(keys: readonly string[]): Buffer {
    const known = this.#kept.get(keys[0]);
    if (known !== undefined && areSame(known.keys, keys)) return known.bytes;
    const bytes = encode(['evalsha', READ_SHA, ...rest(keys, false)]);
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(keys[0], { keys, bytes });
    return bytes;
  }
}

const rest = (keys: readonly string[], areWhole: boolean): string[] => [
  String(keys.length),
  ...keys,
  ...(areWhole ? PACE_FIELDS : BRIEF_FIELDS),
];
const wholeQuestion = (keys: readonly string[]): Buffer => encode(['evalsha', READ_SHA, ...rest(keys, true)]);

function areSame(some: readonly string[], others: readonly string[]): boolean {
  if (some.length !== others.length) return false;
  for (let at = 0; at < some.length; at++) if (some[at] !== others[at]) return false;
  return true;
}

/** As Redis takes commands. */
function encode(parts: readonly string[]): Buffer {
  const texts = [`*${parts.length}\r\n`];
  for (const part of parts) texts.push(`$${Buffer.byteLength(part)}\r\n${part}\r\n`);
  return Buffer.from(texts.join(''));
}

/** @throws Error when it is no answer to that question */
function readingOf([seconds, micros, bytes]: Answer, keys: number): PaceReading {
  const texts: PaceText[] = [];
  for (let at = 0; at < bytes.length; ) {
    let length = 0;
    for (; bytes[at] !== COLON && at < bytes.length; at++) length = length * 10 + bytes[at] - ZERO;
    const start = at + 1;
    at = start + length;
    texts.push({ bytes, start, end: at });
  }
  if (texts.length !== keys) throw new Error(`Redis answered for ${texts.length} keys, not ${keys}`);
  return { redisMs: redisMsOf(seconds.toString(), micros.toString()), texts };
}

/** Of what TIME says. */
export const redisMsOf = (seconds: string, micros: string): number => Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
