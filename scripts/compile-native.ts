/** What is compiled for WebAssembly, and how. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';

export interface Native {
  source: string;
  /** The module that has the code. */
  code: string;
}

export const NATIVE: readonly Native[] = [
  { source: 'native/decode.ts', code: 'src/operators/native-code.ts' },
  { source: 'native/lines.ts', code: 'src/state/native-lines.ts' },
  { source: 'native/slices.ts', code: 'src/state/native-slices.ts' },
];

const FLAGS = [
  '--runtime',
  'stub',
  '--importMemory',
  '--enable',
  'simd',
  '--enable',
  'relaxed-simd',
  '-O3',
  '--noAssert',
  '--use',
  'abort=',
];
const LINE = 120;

export const pathOf = (file: string): string => join(import.meta.dirname, '..', file);

export async function compile(source: string): Promise<Uint8Array> {
  let binary: Uint8Array | null = null;
  const files = {
    // Others are the compiler's own, or places it looks at in vain.
    readFile: (name: string) => (name.startsWith('native/') && existsSync(pathOf(name)) ? readFileSync(pathOf(name), 'utf8') : null),
    writeFile: (name: string, contents: string | Uint8Array) => {
      if (name === 'out.wasm') binary = contents as Uint8Array;
    },
    listFiles: () => [],
  };
  const { error, stderr } = await asc.main([source, '-o', 'out.wasm', ...FLAGS], files);
  if (error) throw new Error(`${source}: ${error.message}\n${stderr.toString()}`);
  if (binary === null) throw new Error(`${source}: nothing was compiled`);
  return binary;
}

export const codeFile = ({ source }: Native, binary: Uint8Array): string => {
  const lines =
    Buffer.from(binary)
      .toString('base64')
      .match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  return `/** ${source}, compiled by \`npm run build:native\`. Not to be edited. */

export const NATIVE_CODE = [
${lines.map((line) => `  '${line}',`).join('\n')}
].join('');
`;
};
