/** The campaigns' days and caps, out of the registry. */
import { dayBounds, dayInZones, zoneAt } from '../src/operators/days.ts';
import { type Registry, validAt } from '../src/sinks/registry.ts';
import type { Budgets } from './money.ts';
import { DAY_MS } from './types.ts';

const SLOT_MS = 900_000;

/** The cap of a day is the row valid at its end, midnight of the campaign's zone, or now while it lasts. */
export const budgetsOf = (registry: Registry): Budgets => ({
  dayOf: (campaignId, atMs) => dayInZones(Math.floor(atMs / SLOT_MS), registry.zonesOf(campaignId)),
  startOf: (campaignId, day) => dayBounds(day, zoneAt(registry.zonesOf(campaignId), day * DAY_MS)).startMs,
  capMicros: (campaignId, day) => {
    const { endMs } = dayBounds(day, zoneAt(registry.zonesOf(campaignId), (day + 1) * DAY_MS));
    return validAt(registry.budgets.get(campaignId), Math.min(registry.asOfMs, endMs - 1))?.dayCapMicros ?? null;
  },
});
