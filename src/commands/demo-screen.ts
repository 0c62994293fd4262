/** What the demo shows while it runs: a few lines redrawn on a terminal, plain lines elsewhere, nothing with --json. */
import type { AlertRecord } from '../alerts/types.ts';
import type { SuspectRates } from '../generate/index.ts';
import type { Pipeline } from '../topology/pipeline.ts';
import { DISPOSITIONS, STREAMS, type Stream } from '../topology/types.ts';
import type { Comparison } from './demo-compare.ts';
import type { Host } from './host.ts';

const BAR = 30;
const grouped = (value: number): string => Math.round(value).toLocaleString('en-US');

export class DemoScreen {
  readonly #host: Host;
  readonly #silent: boolean;
  readonly #total: number;
  #drawn = 0;

  constructor(host: Host, silent: boolean, total: number) {
    this.#host = host;
    this.#silent = silent;
    this.#total = total;
  }

  say(line: string): void {
    if (this.#silent) return;
    this.#host.out.write(`${line}\n`);
    this.#drawn = 0;
  }

  show(pipeline: Pipeline, sent: number): void {
    if (this.#silent) return;
    const share = sent / this.#total;
    const bar = `${'█'.repeat(Math.round(share * BAR))}${'░'.repeat(BAR - Math.round(share * BAR))}`;
    const counts = STREAMS.map((stream) => countsOf(pipeline, stream));
    if (!this.#host.out.isTTY) {
      const [accepted, duplicate, late, invalid] = DISPOSITIONS.map((_, i) => counts.reduce((sum, of) => sum + of[i], 0));
      this.#host.out.write(
        `${String(Math.round(share * 100)).padStart(3)} %  accepted ${grouped(accepted)}  duplicate ${grouped(duplicate)}  late ${grouped(late)}  invalid ${grouped(invalid)}\n`,
      );
      return;
    }
    const lines = [
      `${bar} ${String(Math.round(share * 100)).padStart(3)} %`,
      `${''.padEnd(14)}${DISPOSITIONS.map((name) => name.padStart(12)).join('')}   watermark`,
      ...STREAMS.map(
        (stream, i) =>
          `${stream.padEnd(14)}${counts[i].map((count) => grouped(count).padStart(12)).join('')}   ${watermarkOf(pipeline, stream)}`,
      ),
    ];
    this.#host.out.write(`${this.#drawn > 0 ? `\x1b[${this.#drawn}A` : ''}${lines.map((line) => `\x1b[2K${line}\n`).join('')}`);
    this.#drawn = lines.length;
  }

  /** What was raised on the way, in full: this is what an experiment's owner is sent. */
  alerts(alerts: readonly AlertRecord[]): void {
    for (const { severity, summary, description, nextStep, owner } of alerts) {
      this.say(`\n${severity === 'page' ? '✗' : '!'} ${severity} to ${owner}: ${summary}`);
      for (const line of wrapped(`${description} Next: ${nextStep}`)) this.say(`  ${line}`);
    }
  }

  end(comparison: Comparison, suspects: Record<Stream, SuspectRates>, seconds: number): void {
    if (this.#silent) return;
    const { impressions } = suspects;
    const lines = [
      '',
      'Against the truth:',
      ...comparison.kinds.map(
        ({ kind, compared, different }) =>
          `  ${different === 0 ? '✓' : '✗'} ${kind.padEnd(46)}${grouped(compared).padStart(8)} compared, ${grouped(different)} different`,
      ),
      `    re-stamped impressions caught by the sidecar: ${percent(impressions.catchRate)}, honest ones suspected: ${percent(impressions.falseRate)}`,
      '',
      comparison.different === 0
        ? `Difference to the truth: 0, with one kill on the way. ${grouped(this.#total)} records in ${seconds.toFixed(1)} s.`
        : `${grouped(comparison.different)} of ${grouped(comparison.compared)} numbers differ from the truth: this is a bug.`,
      'Next: `npm run services` starts Kafka, Redis and Postgres here; README.md goes on from there.',
      '',
    ];
    this.#host.out.write(lines.join('\n'));
  }
}

/** Lines of at most 110 characters. */
const wrapped = (text: string): string[] => text.match(/.{1,110}(?:\s|$)/g)?.map((line) => line.trimEnd()) ?? [];

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;

function countsOf(pipeline: Pipeline, stream: Stream): number[] {
  const counts = DISPOSITIONS.map(() => 0);
  for (const { stage } of pipeline.ingestTasks) {
    if (stage?.stream !== stream) continue;
    DISPOSITIONS.forEach((_, i) => {
      counts[i] += stage.state.totals.dispositions[i];
    });
  }
  return counts;
}

function watermarkOf(pipeline: Pipeline, stream: Stream): string {
  const lowest = Math.min(
    ...pipeline.ingestTasks.flatMap(({ stage }) =>
      stage?.stream === stream && Number.isFinite(stage.watermarkMs) ? [stage.watermarkMs] : [],
    ),
  );
  return Number.isFinite(lowest) ? new Date(lowest).toISOString().slice(0, 19) : '–';
}
