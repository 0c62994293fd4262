import type { RegisteredRows } from './evaluate-part.ts';
import type { PacedRegistry } from './paced-campaigns.ts';

/** What evaluate needs of a registry. Rows that a caller does not know are not told. */
export interface Registered extends PacedRegistry, Partial<RegisteredRows> {
  version: number;
  epoch: number;
}
