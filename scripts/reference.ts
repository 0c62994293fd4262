/** `node scripts/reference.ts` writes deploy/reference; with `--check` it only compares and fails where a page is old. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { referencePages } from '../src/commands/reference.ts';

const folder = join(import.meta.dirname, '..', 'deploy', 'reference');
const check = process.argv.includes('--check');

const readPage = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

mkdirSync(folder, { recursive: true });
for (const [name, text] of Object.entries(referencePages())) {
  const path = join(folder, name);
  if (readPage(path) === text) continue;
  if (check) {
    console.error(`deploy/reference/${name} is old: node scripts/reference.ts`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, text);
    console.log(`deploy/reference/${name} written`);
  }
}
