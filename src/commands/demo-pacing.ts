/**
 * The demo's scene about money: two campaigns with the same cap and the same auctions. One bidder asks the gate that ships
 * with this package, the other does not ask. Both are counted by the production topology; a win takes a moment to be
 * reported, as it does.
 */
import type { Settings } from '../config.ts';
import type { GateAnswer } from '../gate/answer.ts';
import { PacingGate } from '../gate/gate.ts';
import { PACE_FIELDS } from '../gate/pace-fields.ts';
import { type PaceText, paceText, SEPARATOR } from '../gate/pace-text.ts';
import type { ReaderListener } from '../gate/reader.ts';
import { MemoryCounterStore, MemoryCounters } from '../sinks/memory-counters.ts';
import { budgetForever, campaignForever, StaticRegistry } from '../sinks/registry.ts';
import { MemoryBroker } from '../topology/sources/memory-log.ts';
import { MemorySource } from '../topology/sources/memory-source.ts';
import { STREAMS } from '../topology/types.ts';
import type { Host } from './host.ts';
import { type Local, makeLocal } from './local.ts';

const CAP_MICROS = 20_000_000;
const WIN_MICROS = 50_000;
const AUCTION_EVERY_MS = 10;
/** From an auction that is won until its impression is in Kafka. */
const SHOWN_AFTER_MS = 200;
const LENGTH_MS = 7000;
/** A day's money goes in seconds here, so all that waits is made as much quicker. */
const QUICK = { reactionMs: 300, rateMs: 4000 };
const REFRESH_MS = 150;
const SHOW_EVERY_MS = 500;
const KNOWN_WITHIN_MS = 5000;

const GATED = 'asks the gate';
const UNGATED = 'does not ask';

export interface PacingScene {
  cap_micros: number;
  spend_micros: number;
  without_gate_micros: number;
  state: string;
}

/** Resolves when the day's money is over, or the process is to stop (null). */
export async function playPacing(host: Host, settings: Settings, say: (line: string) => void): Promise<PacingScene | null> {
  const world = new PacingWorld(host, settings);
  await world.start();
  try {
    say('');
    say(
      `Pacing: a cap of ${money(CAP_MICROS)} and ten times the auctions it needs. One bidder asks the gate before each, its twin does not.`,
    );
    if (!(await world.known())) throw world.failure ?? new Error('the campaigns were not told of in time');
    return await world.play(say);
  } finally {
    await world.stop();
  }
}

const money = (micros: number): string => `$${(micros / 1e6).toFixed(2)}`;

class PacingWorld {
  failure: Error | null = null;
  readonly #host: Host;
  readonly #topic: string;
  readonly #broker: MemoryBroker;
  readonly #store: MemoryCounterStore;
  readonly #local: Local;
  #gate: PacingGate | null = null;
  readonly #spent: Record<string, number> = { [GATED]: 0, [UNGATED]: 0 };
  #onTheirWay: { atMs: number; campaign: string }[] = [];
  #ids = 0;

  constructor(host: Host, settings: Settings) {
    const { clock } = host;
    const topics = STREAMS.map((stream) => settings.streams[stream].topic);
    this.#host = host;
    this.#topic = settings.streams.impressions.topic;
    this.#broker = new MemoryBroker(clock, Object.fromEntries(topics.map((topic) => [topic, 1])));
    this.#store = new MemoryCounterStore(() => clock.now().wallMs);
    const ids = [GATED, UNGATED];
    const campaigns = new Map(ids.map((id) => [id, [{ ...campaignForever(id, 'UTC'), pacingCurve: 'accelerated' as const }]]));
    const budgets = new Map(ids.map((id) => [id, [budgetForever(id, CAP_MICROS)]]));
    this.#local = makeLocal({
      settings: { ...settings, pacing: { ...settings.pacing, ...QUICK } },
      clock,
      source: new MemorySource(this.#broker, { group: 'ingest', topics }),
      counters: new MemoryCounters({ store: this.#store }),
      registry: new StaticRegistry({ campaigns, budgets }, 1, clock),
      stateMemoryBytes: settings.env.STATE_MEMORY_BYTES,
      outputUnique: false,
      side: () => {},
      fatal: (error) => {
        this.failure = error;
      },
    });
  }

  start(): Promise<void> {
    return this.#local.pipeline.start();
  }

  async stop(): Promise<void> {
    this.#gate?.close();
    await this.#local.pipeline.stop();
  }

  async known(): Promise<boolean> {
    const { clock, stopping } = this.#host;
    const untilMs = clock.now().monotonicMs + KNOWN_WITHIN_MS;
    // A bidder that begins before anything is counted would be careful for some seconds.
    while (!(Number(this.#told()['counted_until_ms']) > 0) || !(await this.#open().preload([GATED], 0))) {
      if (clock.now().monotonicMs > untilMs || stopping.aborted) return false;
      await clock.sleep(50, stopping);
    }
    return true;
  }

  async play(say: (line: string) => void): Promise<PacingScene | null> {
    const { clock, stopping } = this.#host;
    const startedMs = clock.now().monotonicMs;
    let auctions = 0;
    let chance = 0;
    let shownMs = startedMs;
    for (let nowMs = startedMs; !this.#isOver(nowMs - startedMs); nowMs = clock.now().monotonicMs) {
      if (this.failure !== null) throw this.failure;
      if (stopping.aborted) return null;
      for (; auctions * AUCTION_EVERY_MS < nowMs - startedMs; auctions++) {
        // A share of the auctions without drawing lots, so that the demo is the same each time.
        chance += this.#open().check(GATED).multiplier;
        if (chance >= 1) {
          chance -= 1;
          this.#win(GATED, nowMs);
        }
        this.#win(UNGATED, nowMs);
      }
      this.#report(nowMs);
      if (nowMs - shownMs >= SHOW_EVERY_MS) {
        shownMs = nowMs;
        say(this.#line(this.#open().check(GATED)));
      }
      await clock.sleep(AUCTION_EVERY_MS, stopping);
    }
    return this.#end(say);
  }

  /** On a busy machine it takes longer until the stop is seen. */
  #isOver(playedMs: number): boolean {
    return playedMs >= LENGTH_MS && (playedMs >= 2 * LENGTH_MS || this.#open().check(GATED).state === 'stopped');
  }

  #end(say: (line: string) => void): PacingScene {
    const [gated, ungated] = [this.#spent[GATED], this.#spent[UNGATED]];
    const { state } = this.#open().check(GATED);
    say(
      `  Stopped at ${money(gated)}, ${percent(gated)} of its cap. Without the gate: ${money(ungated)}, ${money(ungated - CAP_MICROS)} overspent, and counting.`,
    );
    return { cap_micros: CAP_MICROS, spend_micros: gated, without_gate_micros: ungated, state };
  }

  #line({ state, multiplier, reason }: GateAnswer): string {
    const counted = Number(this.#told()['spend_micros'] ?? 0);
    const asked = `${money(this.#spent[GATED])} won, ${money(counted)} counted: ${state} ×${multiplier.toFixed(2)} (${reason})`;
    return `  ${asked.padEnd(62)} its twin ${money(this.#spent[UNGATED])}`;
  }

  #win(campaign: string, nowMs: number): void {
    this.#spent[campaign] += WIN_MICROS;
    this.#onTheirWay.push({ atMs: nowMs + SHOWN_AFTER_MS, campaign });
  }

  #report(nowMs: number): void {
    const { wallMs } = this.#host.clock.now();
    while (this.#onTheirWay.length > 0 && this.#onTheirWay[0].atMs <= nowMs) {
      const { campaign } = this.#onTheirWay.shift() as { campaign: string };
      const event = { event_id: `win ${this.#ids++}`, campaign_id: campaign, spend_micros: WIN_MICROS, event_ts: wallMs };
      this.#broker.append(this.#topic, 0, { key: campaign, value: JSON.stringify(event), timestampMs: wallMs });
    }
  }

  #told(): Readonly<Record<string, string>> {
    return this.#store.get(`pace:{${GATED}}`)?.fields ?? {};
  }

  /** The bidder's own client, over the counters of this process. */
  #open(): PacingGate {
    if (this.#gate !== null) return this.#gate;
    const { clock } = this.#host;
    const text = (key: string): PaceText => {
      const fields = this.#store.get(key)?.fields ?? {};
      return paceText(PACE_FIELDS.map((field) => fields[field] ?? '').join(SEPARATOR));
    };
    const parts = {
      clock: {
        monotonicMs: () => clock.now().monotonicMs,
        sleep: (ms: number, signal: AbortSignal) => clock.sleep(ms, signal),
        random: () => 0.5,
      },
      openReader: ({ onReady }: ReaderListener) => {
        // Not before there is a gate that could hear it.
        queueMicrotask(onReady);
        return {
          read: (keys: readonly string[]) => Promise.resolve({ redisMs: this.#store.timeMs, texts: keys.map(text) }),
          reconnect: () => {},
          close: () => {},
        };
      },
    };
    this.#gate = new PacingGate(parts, { refreshMs: REFRESH_MS });
    return this.#gate;
  }
}

const percent = (micros: number): string => `${((micros / CAP_MICROS) * 100).toFixed(1)} %`;
