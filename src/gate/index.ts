/**
 * `exposure-stream/gate`: may this campaign bid now, and how often? For the bidder's process; needs ioredis and nothing else.
 *
 *     const gate = openGate({ redis: 'redis://localhost:6379' });
 *     const { multiplier } = gate.check(campaignId);
 *     if (Math.random() < multiplier) bid();
 */
import { MachineClock } from './clock.ts';
import { type GateEvent, PacingGate } from './gate.ts';
import { openRedis, type RedisClient } from './redis-connection.ts';
import { RedisPaceReader } from './redis-reader.ts';
import type { GateSettings } from './settings.ts';

export type { GateAnswer, GateState } from './answer.ts';
export type { GateEvent, GateStats, PacingGate } from './gate.ts';
export type { RedisClient } from './redis-connection.ts';
export { GATE_DEFAULTS, type GateSettings } from './settings.ts';

export interface GateOptions extends Partial<GateSettings> {
  /**
   * `redis:` or `rediss:`; a comma list is a cluster. Or what opens an ioredis client in your way (sentinels, certificates):
   * the gate owns it then, and ends it with `close`. Give it `autoResendUnfulfilledCommands: false`, `maxRetriesPerRequest: 0`
   * and `enableOfflineQueue: false`, so that a read fails at once while there is no connection.
   */
  redis: string | (() => RedisClient);
  /** For logs and metrics; what it throws is ignored. Never called from within `check`. */
  onEvent?: (event: GateEvent) => void;
}

/** Connects in the background. Throws for what is no URL of a Redis, and for a setting that cannot be. */
export function openGate({ redis, onEvent, ...settings }: GateOptions): PacingGate {
  return new PacingGate(
    {
      clock: new MachineClock(),
      openReader: (listener) => new RedisPaceReader(typeof redis === 'string' ? openRedis(redis) : redis(), listener),
      ...(onEvent === undefined ? {} : { onEvent }),
    },
    settings,
  );
}
