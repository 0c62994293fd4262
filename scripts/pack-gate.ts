/** `npm run pack:gate [folder]`: the gate as a package of its own, for bidders: nothing but the gate, and ioredis. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const BUILT = join(ROOT, 'dist/src/gate');
const target = resolve(process.argv[2] ?? join(ROOT, 'dist'));

interface Manifest {
  version: string;
  license: string;
  engines: Record<string, string>;
  dependencies: Record<string, string>;
}

const whole = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
const manifest = {
  name: 'exposure-stream-gate',
  version: whole.version,
  description: 'The bidder’s side of exposure-stream’s pacing: may this campaign bid now, and how often?',
  license: whole.license,
  type: 'module',
  engines: whole.engines,
  exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' }, './package.json': './package.json' },
  files: ['dist', 'docs'],
  dependencies: { ioredis: whole.dependencies['ioredis'] },
};

const README = `# ${manifest.name}

${manifest.description}

\`\`\`js
import { openGate } from '${manifest.name}';

const gate = openGate({ redis: 'redis://localhost:6379' });
const { multiplier, state, reason } = gate.check(campaignId); // from memory, under a microsecond
if (Math.random() < multiplier) enterTheAuction();
\`\`\`

Inside the whole package the same is \`exposure-stream/gate\`. How it decides, for a bidder in another language:
docs/gate.md, with vectors to test against.
`;

const folder = mkdtempSync(join(tmpdir(), 'pack-gate-'));
try {
  mkdirSync(join(folder, 'dist'));
  // The maps point at sources that are not in this package.
  for (const name of readdirSync(BUILT).filter((file) => /\.(js|d\.ts)$/.test(file))) {
    const text = readFileSync(join(BUILT, name), 'utf8').replace(/\n\/\/# sourceMappingURL=.*\n?$/, '\n');
    if (/from '\.\.\//.test(text)) throw new Error(`${name} reaches out of the gate’s folder`);
    writeFileSync(join(folder, 'dist', name), text);
  }
  for (const name of ['docs/gate.md', 'docs/gate-vectors.json']) cpSync(join(ROOT, name), join(folder, name));
  cpSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'));
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  writeFileSync(join(folder, 'README.md'), README);
  mkdirSync(target, { recursive: true });
  const packed = execFileSync('npm', ['pack', '--pack-destination', target, '--silent'], { cwd: folder, encoding: 'utf8' });
  console.log(join(target, packed.trim()));
} finally {
  rmSync(folder, { recursive: true });
}
