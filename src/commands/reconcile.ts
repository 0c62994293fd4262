/** `reconcile`: the hourly judge. Exit codes: 0 done, repairs included · 3 drift found by --dry-run · 4 held. */
import { createHash } from 'node:crypto';
import { backfillScope } from '../../reconcile/backfill.ts';
import { parseUntil } from '../../reconcile/cut.ts';
import { lookAtGuardrails } from '../../reconcile/guardrail-run.ts';
import { PostgresReconcileStore } from '../../reconcile/postgres-store.ts';
import { printReport } from '../../reconcile/print.ts';
import { reportJson } from '../../reconcile/report-json.ts';
import { Reconciler, type RunReport } from '../../reconcile/run.ts';
import { outputTopic, type Settings } from '../config.ts';
import { StreamError } from '../errors.ts';
import { openPool } from '../sinks/postgres-client.ts';
import { PostgresRegistry } from '../sinks/postgres-registry.ts';
import { KafkaAdmin } from '../topology/sources/kafka-admin.ts';
import { KafkaWriter } from '../topology/sources/kafka-writer.ts';
import { countPartitions, openKafka } from './connect.ts';
import { type CommonOptions, type Host, loggerOf, printJson, settingsOf } from './host.ts';
import { versionOf } from './version.ts';

const DAY_MS = 86_400_000;
const EXIT = { done: 0, drift: 3, held: 4 } as const;

export interface ReconcileCommandOptions extends CommonOptions {
  until?: string;
  dryRun?: boolean;
  approve?: string;
  reject?: string;
  from?: string;
  to?: string;
  confirm?: boolean;
}

/** Resolves with the exit code. */
export async function reconcileCommand(host: Host, options: ReconcileCommandOptions): Promise<number> {
  const settings = settingsOf(host, options);
  refuseTogether(options);
  const untilMs = options.until === undefined ? null : parseUntil(options.until, host.clock.now().wallMs);
  const { from, to, confirm: confirmed = false } = options;
  const scope = from === undefined || to === undefined ? null : backfillScope({ from, to, confirmed }, settings.reconcile.confirmDays);
  return await withReconciler(host, settings, async (reconciler) => {
    const startedMs = host.clock.now().monotonicMs;
    const seconds = (): number => (host.clock.now().monotonicMs - startedMs) / 1000;
    if (options.approve !== undefined) return await approve(host, reconciler, options.approve, options.json === true);
    if (options.reject !== undefined) {
      await reconciler.reject(options.reject);
      if (options.json) printJson(host, { run: options.reject, status: 'rejected' });
      else host.out.write(`Run ${options.reject} is rejected: it will not be applied.\n`);
      return EXIT.done;
    }
    const report = await reconciler.run({ untilMs, scope, dryRun: options.dryRun === true });
    if (options.json) printJson(host, reportJson(report, seconds()));
    else host.out.write(printReport(report, seconds()));
    if (report.guardrailsFailed !== null) throw report.guardrailsFailed;
    return exitOf(report);
  });
}

/** Drift is every hour that differs, of exposures too, though those are reported only. */
function exitOf({ status, summary }: RunReport): number {
  if (status === 'held') return EXIT.held;
  const { spend, exposure } = summary.kinds;
  return status === 'dry_run' && spend.states.drifted + exposure.states.drifted > 0 ? EXIT.drift : EXIT.done;
}

async function approve(host: Host, reconciler: Reconciler, runId: string, json: boolean): Promise<number> {
  const { finished, adjusted, corrected } = await reconciler.approve(runId);
  if (json) printJson(host, { run: runId, status: 'applied', finished_before: finished, adjusted, corrected });
  else host.out.write(`Run ${runId} is applied: ${adjusted} hours adjusted, ${corrected} corrections of locked hours added.\n`);
  return EXIT.done;
}

function refuseTogether({ until, dryRun, approve: approved, reject: rejected, from, to, confirm }: ReconcileCommandOptions): void {
  const refuse = (says: string): never => {
    throw new StreamError('bad_setting', says);
  };
  const others = [until, dryRun, from, to].some((option) => option !== undefined && option !== false);
  if (approved !== undefined && (others || rejected !== undefined))
    refuse('--approve applies a run as it was computed: it goes with no other option');
  if (rejected !== undefined && others) refuse('--reject is of a run that was held: it goes with no other option');
  if ((from === undefined) !== (to === undefined)) refuse('--from and --to go together');
  if (confirm && from === undefined) refuse('--confirm is for --from and --to');
}

async function withReconciler(host: Host, settings: Settings, work: (reconciler: Reconciler) => Promise<number>): Promise<number> {
  const { clock } = host;
  const log = loggerOf(host, settings);
  const kafka = openKafka(settings, log);
  const admin = new KafkaAdmin(kafka);
  const writer = new KafkaWriter(kafka, { clock, logger: log });
  const pool = openPool(settings.env.DATABASE_URL, 4, 0);
  const store = new PostgresReconcileStore(pool, { clock });
  const registry = new PostgresRegistry(openPool(settings.env.DATABASE_URL, 1), { clock, log });
  const partialsTopic = outputTopic(settings, 'partials');
  const { impressions, exposures } = settings.streams;
  const expected = async () => {
    const counts = await countPartitions(admin, settings);
    const inputOf = (topic: string) => ({ topic, partitions: counts.get(topic) ?? 0 });
    return {
      inputs: { spend: inputOf(impressions.topic), exposure: inputOf(exposures.topic) },
      partialsPartitions: counts.get(partialsTopic) ?? 0,
    };
  };
  const config = createHash('sha256')
    .update(JSON.stringify([settings.reconcile, settings.time]))
    .digest('hex')
    .slice(0, 16);
  const versions = { code: versionOf(), config };
  const guardrails = (runId: string | null) =>
    lookAtGuardrails(pool, { runId: runId ?? 'none', alphas: alphasOf(settings), nowMs: clock.now().wallMs });
  try {
    const options = optionsOf(settings);
    return await work(new Reconciler({ store, writer, registry, partialsTopic, expected, clock, guardrails, versions, options }));
  } finally {
    await Promise.allSettled([store.close(), registry.close(), writer.close(), admin.close()]);
  }
}

const alphasOf = ({ reconcile }: Settings) => ({ violated: reconcile.guardrailAlpha, warning: reconcile.guardrailWarningAlpha });

function optionsOf({ reconcile, time }: Settings): ConstructorParameters<typeof Reconciler>[0]['options'] {
  return {
    tolerance: { ratio: reconcile.toleranceRatio, floorMicros: reconcile.floorMicros, floorCount: reconcile.floorCount },
    explainedShare: reconcile.explainedShare,
    hold: { campaignShare: reconcile.holdCampaignShare, micros: reconcile.holdMicros, floorMicros: reconcile.holdFloorMicros },
    lockDays: reconcile.lockDays,
    allowedLatenessMs: time.allowedLatenessMs,
    alertDriftRatio: reconcile.alertDriftRatio,
    alertBackfillRatio: reconcile.alertBackfillRatio,
    shadowMs: reconcile.shadowDays * DAY_MS,
    staleHours: reconcile.staleHours,
    alwaysShadow: reconcile.alwaysShadow,
    waitMs: reconcile.waitMs,
  };
}
