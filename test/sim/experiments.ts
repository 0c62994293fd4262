/**
 * Experiments under every trouble: whatever crashed, moved or was restored, what evaluate has decided in the end is what one reading
 * of `.partials` from its first record decides.
 */
import type { FileSettings } from '../../src/config.ts';
import type { AllocationRow, ExperimentRow, RegistryRows, VariantRow } from '../../src/sinks/registry.ts';
import { Integrity, integrity } from '../../src/srm/part.ts';
import { EvaluateStage } from '../../src/topology/evaluate.ts';
import type { Registered } from '../../src/topology/evaluate-registered.ts';
import { ListedBatch } from '../../src/topology/sources/listed-batch.ts';
import type { MemoryPartition } from '../../src/topology/sources/memory-log.ts';

/** One with a leak, one whose third variant nobody knows; the third experiment is not registered at all. */
const SPLITS: Record<string, Record<string, number>[]> = {
  e1: [
    { a: 0.6, b: 0.4, ['__proto__']: 0 },
    { a: 0.3, b: 0.3, ['__proto__']: 0.4 },
  ],
  e2: [{ a: 0.5, b: 0.5 }],
};

function experimentRow(experimentId: string): ExperimentRow {
  const times = { startedAtMs: null, endedAtMs: null };
  return { experimentId, name: '', owner: 'sim', status: 'running', randomizationUnit: 'user', salt: null, hash: 'md5_mod_100', ...times };
}

const variantRows = (experimentId: string, shares: object): VariantRow[] =>
  Object.keys(shares).map((variantId, position) => ({ experimentId, variantId, position }));

const allocationRows = (experimentId: string, version: number, shares: Record<string, number>): AllocationRow[] =>
  Object.entries(shares).map(([variantId, share]) => ({
    experimentId,
    version,
    variantId,
    share,
    fromMs: Number.NEGATIVE_INFINITY,
    toMs: Number.POSITIVE_INFINITY,
  }));

export const EXPERIMENT_ROWS: Pick<RegistryRows, 'experiments' | 'variants' | 'allocations'> = {
  experiments: new Map(Object.keys(SPLITS).map((id) => [id, experimentRow(id)])),
  variants: new Map(Object.entries(SPLITS).map(([id, [shares]]) => [id, variantRows(id, shares)])),
  allocations: new Map(
    Object.entries(SPLITS).map(([id, versions]) => [id, versions.flatMap((shares, i) => allocationRows(id, i + 1, shares))]),
  ),
};

/** All that was decided about every experiment, by name. */
function decided(stage: EvaluateStage): Map<string, unknown> {
  const part = stage.parts.find((one) => one instanceof Integrity);
  const found = new Map<string, unknown>();
  for (const { id, exposures, assignments, rate, ...experiment } of part?.experiments.values() ?? []) {
    const tell = (what: string, value: unknown): void =>
      void found.set(`${id} ${what}`, typeof value === 'number' ? value : JSON.stringify(value));
    for (const [name, test] of Object.entries({ exposures, assignments })) {
      const { lnEMax, alarmUnits, leak, processes, lastStep, onset } = test;
      for (const [what, value] of Object.entries({
        lnEMax,
        alarmUnits,
        leak,
        steps: processes.steps,
        lastStep: lastStep.units,
        onset: onset?.units,
      }))
        tell(`${name} ${what}`, value);
      if (processes.steps > 0) tell(`${name} lnA`, [...processes.lnA]);
    }
    tell('exposure rate', [rate.lnE, [...rate.waiting.keys()]]);
    tell('counts', [experiment.hashChecked, experiment.hashMismatched, experiment.contaminated]);
  }
  return found;
}

export interface Replayed {
  stage: EvaluateStage;
  log: MemoryPartition;
  topic: string;
  partition: number;
  settings: FileSettings;
  registry: Registered;
}

/** What differs between a stage and one reading of its log up to the same position; nothing where the log has lost its start. */
export function differsFromReplay({ stage, log, topic, partition, settings, registry }: Replayed): string[] {
  if (log.first > 0 || stage.lossy) return [];
  const { pace, pacing, limits, srm, time } = settings;
  const { maxOutOfOrdernessMs } = time;
  const place = { topic, partition, partialsPartitions: 1, maxOutOfOrdernessMs };
  const fresh = new EvaluateStage({ ...place, pace, pacing, limits, srm, parts: [integrity] });
  fresh.register(registry);
  fresh.begin(0);
  fresh.owned();
  for (const record of log.records()) {
    if (record.offset >= stage.position) break;
    const next = record.offset + 1;
    fresh.process(new ListedBatch({ topic, partition, nextOffset: next, endOffset: next, byteLength: 0 }, [record]));
  }
  const [live, replayed] = [decided(stage), decided(fresh)];
  return [...live].flatMap(([what, value]) =>
    replayed.get(what) === value
      ? []
      : [`${topic}/${partition} ${what}: ${value} was decided, and the log read once says ${replayed.get(what)}`],
  );
}
