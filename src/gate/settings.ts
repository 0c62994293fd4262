import { STALE_AFTER_MS } from './projection.ts';

/** All times in ms. */
export interface GateSettings {
  /** Put before every key: the REDIS_KEY_PREFIX of the deployment. */
  keyPrefix: string;
  /** A campaign that is checked is read this often; up to a tenth sooner or later, so that many bidders do not ask at once. */
  refreshMs: number;
  /** Values that speak for a time longer ago are not believed any more. */
  staleAfterMs: number;
  /** Conservative goes on for this long after all is fresh again. */
  recoverMs: number;
  /** Without any answer for this long Redis counts as gone. */
  goneAfterMs: number;
  /** A read that takes longer is given up and its connection broken off. */
  timeoutMs: number;
  /** Not checked for this long, a campaign is refreshed only twice in `staleAfterMs` until it is checked again. */
  restAfterMs: number;
  /** Not checked for this long, it is forgotten; sooner (a 24th) where nine tenths of `maxCampaigns` are held. */
  forgetAfterMs: number;
  /** More than these are not held: a check of another one answers closed. */
  maxCampaigns: number;
}

export const GATE_DEFAULTS: GateSettings = {
  keyPrefix: '',
  refreshMs: 1000,
  staleAfterMs: STALE_AFTER_MS,
  recoverMs: 5000,
  goneAfterMs: 5000,
  timeoutMs: 2000,
  restAfterMs: 60_000,
  forgetAfterMs: 86_400_000,
  maxCampaigns: 100_000,
};

/** Throws a RangeError that names the setting. */
export function gateSettings(given: Partial<GateSettings>): GateSettings {
  const settings = { ...GATE_DEFAULTS };
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (typeof value === 'number' && !(value > 0)) throw new RangeError(`${name} is a number above 0, not ${value}`);
    Object.assign(settings, { [name]: value });
  }
  return settings;
}
