import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { PaceWriter } from '../gate/pace-writer.ts';
import { describeIntegration, uniqueName } from '../services/integration.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');

/** Says what a bidder would be told, and nothing else. */
const BIDDER = `
import { openGate } from 'exposure-stream-gate';
const gate = openGate({ redis: process.argv[2], keyPrefix: process.argv[3] });
await gate.preload(['c']);
console.log(JSON.stringify(gate.check('c')));
gate.close();
`;

describeIntegration('the gate as a package of its own', ({ redisUrl }) => {
  it('installs with ioredis and nothing else, and works', { timeout: 180_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gate-package-'));
    const keyPrefix = `${uniqueName('package')}:`;
    const writer = new PaceWriter(redisUrl, [`${keyPrefix}pace:{c}`]);
    try {
      await writer.write();
      const packed = await run('npm', ['run', '--silent', 'pack:gate', folder], { cwd: ROOT });
      const tarball = packed.stdout.trim().split('\n').at(-1) ?? '';
      await writeFile(join(folder, 'package.json'), '{"private":true,"type":"module"}');
      await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball], { cwd: folder });
      const manifest = JSON.parse(await readFile(join(folder, 'node_modules/exposure-stream-gate/package.json'), 'utf8'));
      expect(Object.keys(manifest.dependencies)).toEqual(['ioredis']);
      await writeFile(join(folder, 'bidder.js'), BIDDER);
      const { stdout } = await run(process.execPath, ['bidder.js', redisUrl, keyPrefix], { cwd: folder });
      expect(JSON.parse(stdout)).toEqual({ multiplier: 0.5, state: 'open', reason: 'pacing' });
    } finally {
      writer.close();
      await rm(folder, { recursive: true });
    }
  });
});
