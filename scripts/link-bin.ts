/**
 * Puts this package's own command where npx looks first. npm links the commands of dependencies only; without this, npx
 * copies the project into its cache and builds it there, ten seconds each time.
 */
import { chmodSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';

const root = new URL('../', import.meta.url);
const link = new URL('node_modules/.bin/exposure-stream', root);

chmodSync(new URL('dist/src/main.js', root), 0o755);
mkdirSync(new URL('node_modules/.bin/', root), { recursive: true });
rmSync(link, { force: true });
symlinkSync('../../dist/src/main.js', link);
