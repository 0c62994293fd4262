/** `npm test`: everything, section by section; the last line says how many passed and failed. Exit code 1 when any failed. */
import { spawnSync } from 'node:child_process';
import { delimiter, join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

const SECTIONS: readonly { name: string; command: readonly [string, ...string[]] }[] = [
  { name: 'types', command: ['tsc', '-p', 'tsconfig.json'] },
  { name: 'format and lint', command: ['biome', 'check', '.'] },
  { name: 'promises', command: ['eslint', '.'] },
  { name: 'unit', command: ['vitest', 'run', '--project', 'unit'] },
  { name: 'simulation', command: ['node', 'test/sim/main.ts'] },
  { name: 'integration', command: ['vitest', 'run', '--project', 'integration'] },
];

// The tools of node_modules, Node 24 included, also when this file is run without npm.
const env = { ...process.env, PATH: [join(ROOT, 'node_modules', '.bin'), process.env['PATH']].join(delimiter) };

const results = SECTIONS.map(({ name, command: [tool, ...args] }) => {
  console.log(`\n=== ${name}: ${[tool, ...args].join(' ')}`);
  const began = performance.now();
  const { status, error } = spawnSync(tool, args, { cwd: ROOT, env, stdio: 'inherit' });
  if (error) console.error(`${tool} could not be started: ${error.message}`);
  return { name, passed: status === 0, seconds: (performance.now() - began) / 1000 };
});

console.log('\n=== summary');
for (const { name, passed, seconds } of results) console.log(`${passed ? 'passed' : 'FAILED'}  ${name} (${seconds.toFixed(1)} s)`);
const failed = results.filter((result) => !result.passed).length;
console.log(`${results.length - failed} sections passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
