/**
 * An experiment that goes wrong while the demo runs: half-way, one SDK version begins to lose exposures of one variant. Its units
 * come in a partition of their own, so they move no watermark of the traffic whose truth is known.
 */
import type { RegistryRows } from '../sinks/registry.ts';
import type { MemoryBroker } from '../topology/sources/memory-log.ts';

export const DEMO_EXPERIMENT = 'checkout-redesign';
const VARIANTS = ['control', 'treatment'] as const;
const BROKEN_SDK = '4.1';
const SDKS = [BROKEN_SDK, '4.0', '4.0', '3.9', '3.9'] as const;
const COUNTRIES = ['US', 'DE', 'BR'] as const;
/** Of the broken version's exposures of treatment, one in so many is lost. */
const LOST = 2;
const always = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY };

export const DEMO_REGISTRY: Pick<RegistryRows, 'experiments' | 'variants' | 'allocations'> = {
  experiments: new Map([
    [
      DEMO_EXPERIMENT,
      {
        experimentId: DEMO_EXPERIMENT,
        name: 'The new checkout',
        owner: 'growth',
        status: 'running',
        randomizationUnit: 'user',
        salt: null,
        hash: null,
        startedAtMs: null,
        endedAtMs: null,
      },
    ],
  ]),
  variants: new Map([[DEMO_EXPERIMENT, VARIANTS.map((variantId, position) => ({ experimentId: DEMO_EXPERIMENT, variantId, position }))]]),
  allocations: new Map([
    [DEMO_EXPERIMENT, VARIANTS.map((variantId) => ({ experimentId: DEMO_EXPERIMENT, version: 1, variantId, share: 0.5, ...always }))],
  ]),
};

/** Where the units go: the topics of the two streams, and which partition of both. */
export interface DemoPlace {
  exposures: string;
  assignments: string;
  partition: number;
}

export class DemoExperiment {
  readonly #broker: MemoryBroker;
  readonly #place: DemoPlace;
  #units = 0;

  constructor(broker: MemoryBroker, place: DemoPlace) {
    this.#broker = broker;
    this.#place = place;
  }

  /** The next unit, at that Kafka time. `broken`: from now on exposures are lost. */
  unit(timestampMs: number, broken: boolean): void {
    if (!Number.isFinite(timestampMs)) return;
    const number = this.#units++;
    // Scattered, and the same in every run.
    const drawn = Math.imul(number + 1, 0x9e3779b1) >>> 0;
    const variant = VARIANTS[(drawn >>> 9) % VARIANTS.length];
    const sdk = SDKS[(drawn >>> 13) % SDKS.length];
    const unitId = `shopper-${number}`;
    const common = { experiment_id: DEMO_EXPERIMENT, variant_id: variant, unit_id: unitId };
    const append = (topic: string, event: object): void => {
      this.#broker.append(topic, this.#place.partition, { key: unitId, value: JSON.stringify({ ...common, ...event }), timestampMs });
    };
    append(this.#place.assignments, { event_id: `${unitId}-a`, event_ts: timestampMs });
    if (broken && variant === 'treatment' && sdk === BROKEN_SDK && (drawn >>> 17) % LOST === 0) return;
    const attributes = { country: COUNTRIES[(drawn >>> 20) % COUNTRIES.length], sdk_version: sdk };
    append(this.#place.exposures, { event_id: `${unitId}-e`, event_ts: timestampMs, attributes });
  }
}
