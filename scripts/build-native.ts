/**
 * Compiles native/decode.ts into src/operators/native-code.ts: `node scripts/build-native.ts`. The compiler is fetched for it and is no
 * dependency; a test tells when the code is of another source.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const COMPILER = 'assemblyscript@0.28.20';
const LINE = 120;

const root = join(import.meta.dirname, '..');
const source = join(root, 'native', 'decode.ts');
const folder = mkdtempSync(join(tmpdir(), 'exposure-stream-native-'));
const module = join(folder, 'decode.wasm');
const flags = ['--runtime', 'stub', '--importMemory', '--enable', 'simd', '-O3', '--noAssert', '--use', 'abort='];
execFileSync('npx', ['--yes', '-p', COMPILER, 'asc', source, '-o', module, ...flags], { stdio: 'inherit' });
const lines =
  readFileSync(module)
    .toString('base64')
    .match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
rmSync(folder, { recursive: true });

writeFileSync(
  join(root, 'src', 'operators', 'native-code.ts'),
  `/** native/decode.ts, compiled by \`node scripts/build-native.ts\` (${COMPILER}). Not to be edited. */

export const SOURCE_DIGEST = '${createHash('sha256').update(readFileSync(source)).digest('hex')}';

export const NATIVE_CODE = [
${lines.map((line) => `  '${line}',`).join('\n')}
].join('');
`,
);
