import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT, readText } from './tables.ts';

const PAGES = ['README.md', 'ARCHITECTURE.md'];

describe('the first pages', () => {
  it('link only to files that are there', () => {
    for (const page of PAGES) {
      const targets = [...readText(page).matchAll(/\]\(([^)#]+)\)/g)].map(([, target]) => target);
      expect(targets.length, page).toBeGreaterThan(2);
      expect(targets.filter((target) => !existsSync(join(ROOT, dirname(page), target)))).toEqual([]);
    }
  });

  it('show first the demo, then the tests', () => {
    const blocks = [...readText('README.md').matchAll(/```sh\n([^`]*)```/g)].map(([, text]) => text.trim());
    expect(blocks.slice(0, 2)).toEqual(['npm ci && npx exposure-stream demo', 'npm ci && npm test']);
  });

  it('name only files of ours that exist, in the map too', () => {
    const map = /## Where it lives\n\n```\n([^`]*)```/.exec(readText('ARCHITECTURE.md'))?.[1] ?? '';
    const folders = [...map.matchAll(/^(\S+\/)\s/gm)].map(([, folder]) => folder);
    expect(folders.length).toBeGreaterThan(8);
    expect(folders.filter((folder) => !existsSync(join(ROOT, folder)))).toEqual([]);
  });
});
