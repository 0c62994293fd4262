/** What evaluate does beyond counting, in this order. */
import { lostSources } from '../alerts/lost-sources.ts';
import { integrity } from '../srm/part.ts';
import type { MakePart } from './evaluate-part.ts';

export const EVALUATE_PARTS: readonly MakePart[] = [lostSources, integrity];
