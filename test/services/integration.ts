import { describe, inject } from 'vitest';
import type { SharedServices } from './global-setup.ts';

export { freshDatabase, uniqueName } from './names.ts';

/** `describe` with the shared services; skipped with the reason in its name where they cannot be had. */
export function describeIntegration(name: string, body: (services: SharedServices) => void): void {
  const services = inject('services');
  if ('missing' in services) describe.skip(`${name} (skipped: ${services.missing})`, () => undefined);
  else describe(name, () => body(services));
}
