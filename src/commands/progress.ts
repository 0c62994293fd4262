/** How far a long command is, on standard error: a bar on a terminal, a line every few seconds elsewhere. */
import { Presets, SingleBar } from 'cli-progress';
import type { Host } from './host.ts';

const LINE_EVERY_MS = 5000;
const BAR_EVERY_MS = 100;

export interface ProgressOptions {
  /** What is counted, e.g. `records`. */
  what: string;
  /** Null: without end. */
  total: number | null;
}

export class Progress {
  readonly #host: Host;
  readonly #options: ProgressOptions;
  readonly #bar: SingleBar | null;
  readonly #startedMs: number;
  #shownMs: number;

  constructor(host: Host, options: ProgressOptions) {
    this.#host = host;
    this.#options = options;
    this.#startedMs = this.#shownMs = host.clock.now().monotonicMs;
    this.#bar = host.err.isTTY && options.total !== null ? this.#startBar(options.total) : null;
  }

  /** May be called as often as one likes. */
  at(count: number): void {
    const nowMs = this.#host.clock.now().monotonicMs;
    if (nowMs - this.#shownMs < (this.#bar ? BAR_EVERY_MS : LINE_EVERY_MS)) return;
    this.#shownMs = nowMs;
    if (this.#bar) {
      this.#bar.update(count);
      return;
    }
    const { what, total } = this.#options;
    const share = total === null ? '' : ` of ${grouped(total)} (${Math.floor((100 * count) / Math.max(1, total))} %)`;
    this.#host.err.write(`${grouped(count)}${share} ${what}, ${grouped(Math.round(count / this.#seconds(nowMs)))} a second\n`);
  }

  end(count: number): void {
    this.#bar?.update(count);
    this.#bar?.stop();
  }

  #seconds(nowMs: number): number {
    return Math.max(0.001, (nowMs - this.#startedMs) / 1000);
  }

  #startBar(total: number): SingleBar {
    const format = `{bar} {percentage} % · {value}/{total} ${this.#options.what} · {eta_formatted}`;
    const stream = this.#host.err as NodeJS.WritableStream;
    const bar = new SingleBar({ format, stream, hideCursor: true, clearOnComplete: false }, Presets.shades_classic);
    bar.start(total, 0);
    return bar;
  }
}

export const grouped = (value: number): string => value.toLocaleString('en-US');
