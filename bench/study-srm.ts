/**
 * `npm run study:srm`: what the tests of a split promise, by experiment, through the class that evaluate keeps of each
 * (src/srm/experiment-test.ts). Every figure is printed beside its target; a miss exits with 1. Seeded: the same figures each time.
 */
import { ExperimentTest } from '../src/srm/experiment-test.ts';
import { print } from './figures.ts';

const ALPHA = 0.001;
/** A look at every unit at first, then at every half per cent: what an emission every 200 ms is at some rate. */
const LOOK_SHARE = 0.005;

/** xoshiro128**: fast, seeded. */
class Bits {
  readonly #s: Uint32Array;

  constructor(seed: number) {
    this.#s = Uint32Array.from([seed, seed ^ 0x9e3779b9, 0x243f6a88, 0xb7e15162]);
    for (let i = 0; i < 20; i++) this.next();
  }

  next(): number {
    const s = this.#s;
    const scrambled = Math.imul(s[1], 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** Adds `units` drawn by these shares. */
  draw(units: number, shares: readonly number[], to: number[]): void {
    const bounds: number[] = [];
    let sum = 0;
    for (const share of shares) {
      sum += share;
      bounds.push(sum * 2 ** 32);
    }
    for (let unit = 0; unit < units; unit++) {
      const x = this.next();
      let arm = 0;
      while (arm < bounds.length - 1 && x >= bounds[arm]) arm++;
      to[arm]++;
    }
  }
}

interface Phase {
  version: number;
  shares: readonly number[];
  truth: readonly number[];
  /** Total units at which it ends. */
  untilUnits: number;
}

interface Run {
  alarmUnits: number | null;
  onsetUnits: number | null;
}

/** One experiment until it alarms or ends. */
function run(bits: Bits, phases: readonly Phase[]): Run {
  const test = new ExperimentTest(ALPHA);
  let units = 0;
  for (const { version, shares, truth, untilUnits } of phases) {
    const { counts } = test.versions.get(version) ?? test.addVersion(version, shares);
    while (units < untilUnits) {
      const more = Math.min(Math.max(1, Math.floor(units * LOOK_SHARE)), untilUnits - units);
      bits.draw(more, truth, counts);
      units += more;
      test.look();
      if (test.alarmUnits !== null) return { alarmUnits: test.alarmUnits, onsetUnits: test.onset?.units ?? 0 };
    }
  }
  return { alarmUnits: null, onsetUnits: null };
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const half = [0.5, 0.5];
let missed = 0;

function figure(what: string, value: number, most: number, unit = ''): void {
  const isMet = value <= most;
  if (!isMet) missed++;
  print(
    `${isMet ? 'ok  ' : 'MISS'} ${what.padEnd(64)} ${value.toLocaleString('en-US').padStart(10)}${unit}   at most ${most.toLocaleString('en-US')}${unit}`,
  );
}

function falseAlarms(bits: Bits): void {
  const HEALTHY: [string, number, number[]][] = [
    ['50/50', 4000, half],
    ['34/33/33', 3000, [0.34, 0.33, 0.33]],
    ['90/10', 3000, [0.9, 0.1]],
    ['25/25/25/25', 2000, [0.25, 0.25, 0.25, 0.25]],
  ];
  let [alarms, all] = [0, 0];
  for (const [name, experiments, shares] of HEALTHY) {
    let here = 0;
    for (let i = 0; i < experiments; i++)
      if (run(bits, [{ version: 1, shares, truth: shares, untilUnits: 50_000 }]).alarmUnits !== null) here++;
    print(`     ${name}: ${here} of ${experiments} healthy experiments alarmed within 50,000 units`);
    alarms += here;
    all += experiments;
  }
  figure(`lifetime false alarms of ${all.toLocaleString('en-US')} A/A experiments, share`, alarms / all, ALPHA);
}

function detection(bits: Bits): void {
  for (const [truth, most, runs] of [
    [0.6, 520, 2000],
    [0.55, 2100, 2000],
    [0.52, 12_500, 2000],
    [0.51, 47_000, 2000],
  ]) {
    const units = Array.from({ length: runs }, () => {
      const { alarmUnits } = run(bits, [{ version: 1, shares: half, truth: [truth, 1 - truth], untilUnits: most * 20 }]);
      return alarmUnits ?? Number.POSITIVE_INFINITY;
    });
    figure(`median units to alert, truth ${truth} against .5, ${runs} runs`, median(units), most);
  }
}

function onset(bits: Bits): void {
  const CLEAN = 200_000;
  const runs = 200;
  const delays: number[] = [];
  const errors: number[] = [];
  for (let i = 0; i < runs; i++) {
    const { alarmUnits, onsetUnits } = run(bits, [
      { version: 1, shares: half, truth: half, untilUnits: CLEAN },
      { version: 1, shares: half, truth: [0.52, 0.48], untilUnits: CLEAN * 2 },
    ]);
    delays.push((alarmUnits ?? Number.POSITIVE_INFINITY) - CLEAN);
    errors.push(Math.abs((onsetUnits ?? 0) - CLEAN));
  }
  figure(`median units from onset to alert, .52 after ${CLEAN.toLocaleString('en-US')} clean ones, ${runs} runs`, median(delays), 26_000);
  figure('median distance of the onset said from the true one', median(errors), 10_000);
  print(
    `     ${errors.filter((error) => error <= 10_000).length} of ${runs} onsets within 10,000 units; worst delay ${Math.max(...delays).toLocaleString('en-US')}`,
  );
}

function ramps(bits: Bits): void {
  let alarms = 0;
  for (let i = 0; i < 200; i++) {
    const phases = [0.01, 0.05, 0.2, 0.5].map((share, step) => {
      const shares = [1 - share, share];
      return { version: step + 1, shares, truth: shares, untilUnits: 20_000 * (step + 1) };
    });
    if (run(bits, phases).alarmUnits !== null) alarms++;
  }
  figure('false alarms of 200 ramps 1 → 5 → 20 → 50 %', alarms, 0);
}

const began = performance.now();
const bits = new Bits(20261126);
falseAlarms(bits);
detection(bits);
onset(bits);
ramps(bits);
print(`     ${((performance.now() - began) / 1000).toFixed(0)} s`);
process.exitCode = missed > 0 ? 1 : 0;
