import type { TestProject } from 'vitest/node';
import { ServiceMissing, startServices } from './index.ts';

/** How a test finds the services that were started once for all of them. */
export interface SharedServices {
  kafkaBrokers: string;
  redisUrl: string;
  databaseUrl: string;
}

declare module 'vitest' {
  export interface ProvidedContext {
    /** The reason when they cannot be had on this machine. */
    services: SharedServices | { missing: string };
  }
}

/** Starts Kafka, Redis and Postgres; under CI or REQUIRE_INTEGRATION a missing one fails the run, else its tests are skipped, with the reason. */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  try {
    const began = performance.now();
    const { kafkaBrokers, redisUrl, databaseUrl, how, stop } = await startServices();
    const where = Object.entries(how).map((pair) => pair.join(': '));
    console.log(`Test services up in ${((performance.now() - began) / 1000).toFixed(1)} s (${where.join(', ')})`);
    project.provide('services', { kafkaBrokers, redisUrl, databaseUrl });
    return stop;
  } catch (error) {
    const required = process.env['CI'] || process.env['REQUIRE_INTEGRATION'];
    if (required || !(error instanceof ServiceMissing)) throw error;
    console.warn(`INTEGRATION TESTS ARE SKIPPED. ${error.message}`);
    project.provide('services', { missing: error.message });
    return undefined;
  }
}
