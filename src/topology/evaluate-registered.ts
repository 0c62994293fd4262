import type { RegisteredRows } from './evaluate-part.ts';

/** What evaluate needs of a registry. */
export interface Zones {
  version: number;
  epoch: number;
  /** When it was read, by its own clock; `zonesUntilMs` is by the same. */
  asOfMs: number;
  zoneOf(campaignId: string): string;
  /** The zones of these rows hold until then. */
  zonesUntilMs(): number;
}

/** Rows that a caller does not know are not told. */
export type Registered = Zones & Partial<RegisteredRows>;
