/** `node test/sim/main.ts --seeds N [--from S] [--seed S] [--trace]`: runs every seed twice and says what was wrong. */
import { parseArgs } from 'node:util';
import { TROUBLES, type Trouble } from './plan.ts';
import { runTwice } from './run.ts';

const HELP = `node test/sim/main.ts --seeds N [--from S] | --seed S [--trace]

  --seeds N   run N seeds, each twice (default 200)
  --from S    the first of them (default 1)
  --seed S    run this one
  --trace     print everything that happened
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '200' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const from = Number(values.seed ?? values.from);
  const count = values.seed === undefined ? Number(values.seeds) : 1;
  if (!Number.isInteger(from) || !Number.isInteger(count) || count < 1) {
    process.stderr.write(`--seeds, --from and --seed are whole numbers\n${HELP}`);
    return 2;
  }
  return await runAll(from, count, values.trace);
}

async function runAll(from: number, count: number, trace: boolean): Promise<number> {
  const startedMs = performance.now();
  const coverage = new Map<Trouble, number>();
  let wrong = 0;
  let virtualMs = 0;
  for (let done = 0; done < count; done++) {
    const seed = from + done;
    const outcome = await runTwice(seed, trace);
    virtualMs += outcome.virtualMs;
    for (const [trouble, times] of outcome.coverage) coverage.set(trouble, (coverage.get(trouble) ?? 0) + times);
    if (trace) process.stdout.write(`${outcome.lines.join('\n')}\n`);
    if (outcome.problems.length > 0) {
      wrong++;
      process.stdout.write(`seed ${seed} is wrong:\n${outcome.problems.map((problem) => `  ${problem}\n`).join('')}`);
      process.stdout.write(`  replay it: node test/sim/main.ts --seed ${seed} --trace\n`);
    }
    if (count > 1 && (done + 1) % 100 === 0) progress(done + 1, count, wrong, performance.now() - startedMs);
  }
  process.stdout.write(`${TROUBLES.map((trouble) => `  ${trouble}: ${coverage.get(trouble) ?? 0}`).join('\n')}\n`);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(`${Math.round(virtualMs / 60_000)} virtual minutes in ${seconds} s, each seed twice\n`);
  process.stdout.write(`${count} seeds, ${wrong} wrong\n`);
  return wrong === 0 ? 0 : 1;
}

function progress(done: number, count: number, wrong: number, elapsedMs: number): void {
  process.stdout.write(`${done} of ${count} seeds, ${wrong} wrong, ${(elapsedMs / 1000).toFixed(0)} s\n`);
}

process.exitCode = await main();
