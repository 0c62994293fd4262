/** An accepted exposure, or by the same rules an assignment: the first of a unit counts. */
import type { TimeSettings } from '../config.ts';
import { FIRST, judgeExposure, NEWLY_CONTAMINATED, SAME_VARIANT } from '../operators/first-exposure.ts';
import type { Contribution } from './contribution.ts';
import type { IngestBlock } from './ingest-block.ts';
import type { IngestState } from './ingest-state.ts';
import type { SideOutputs } from './side-outputs.ts';
import type { Stream } from './types.ts';
import { UnitBlock } from './unit-block.ts';

interface UnitCounterOptions {
  stream: Stream;
  time: TimeSettings;
  outputs: { violations: string };
}

interface Targets {
  state: IngestState;
  contribution: Contribution;
  side: SideOutputs;
}

export class UnitCounter {
  readonly #options: UnitCounterOptions;
  readonly #targets: Targets;
  readonly #exposures: boolean;
  readonly #units: UnitBlock;
  readonly #unit = { experiment: 0, hi: 0, lo: 0, payload: 0 };

  constructor(options: UnitCounterOptions, targets: Targets) {
    this.#options = options;
    this.#targets = targets;
    this.#exposures = options.stream === 'exposures';
    this.#units = new UnitBlock(targets.state);
  }

  /** See UnitBlock.warm. */
  warm(block: IngestBlock): number {
    return this.#units.warm(block);
  }

  /** Record `i` of the block that was warmed, judged at that watermark. */
  count(block: IngestBlock, i: number, watermarkMs: number): void {
    const { state, side, contribution } = this.#targets;
    const { units, eventTs } = block.columns;
    const unit = this.#unit;
    unit.experiment = this.#units.experiment(block, i);
    // Judged by the log alone, so that a sweep at another time gives the same answer.
    state.forgetIfExpired(unit.experiment, watermarkMs - this.#options.time.unitTtlMs);
    const variant = this.#units.variant(block, i, unit.experiment);
    unit.hi = units.his[i] | 0;
    unit.lo = units.los[i] | 0;
    const verdict = judgeExposure(state.units, unit, variant);
    state.touchExperiment(unit.experiment, eventTs[i]);
    if (verdict === SAME_VARIANT) return;
    if (verdict === FIRST || (verdict === NEWLY_CONTAMINATED && this.#exposures)) state.journalUnit(unit);
    if (verdict === FIRST) {
      const group = this.#groupOf(block, i, variant);
      if (this.#exposures) contribution.firstExposure(block, i, group);
      else contribution.assigned(block, i, group);
    } else if (this.#exposures) {
      side.copy(block.record(i), this.#options.outputs.violations, 'variant_changed');
      if (verdict === NEWLY_CONTAMINATED) contribution.contaminated(block.event(i));
    }
  }

  /** The group of this unit's experiment and variant: names are looked up once, then again for another version. */
  #groupOf(block: IngestBlock, i: number, variant: number): number {
    const { groups, variants } = this.#targets.state;
    const { experiment } = this.#unit;
    const version = block.columns.versions[i];
    const known = variants.groupOf(experiment, variant, version);
    if (known !== -1) return known;
    const { entityId, variantId } = block.event(i);
    const group = groups.intern(entityId, version, variantId);
    variants.keepGroup(experiment, variant, version, group);
    return group;
  }
}
