import type { Stream } from '../topology/types.ts';

/**
 * A listed field: its contract name, how it is checked, and where in a DecodedEvent it goes. `id` is 1–256 code points,
 * `text` any string; `ignorable_object` counts as absent when it is none.
 */
export type Field = { name: string; required: boolean } & (
  | { kind: 'id'; target: 'eventId' | 'entityId' | 'variantId' | 'unitId' | 'userId' | 'advertiserId' }
  | { kind: 'text'; target: 'surface' }
  | { kind: 'time'; target: 'eventTs' | 'receivedTs' | 'assignedTs' }
  | { kind: 'spend'; target: 'spendMicros' }
  | { kind: 'version'; target: 'allocationVersion' }
  | { kind: 'flag'; target: 'valid' }
  | { kind: 'object' | 'ignorable_object'; target: 'attributes' }
);

export type Target = Field['target'];

const EVENT_ID: Field = { name: 'event_id', required: true, kind: 'id', target: 'eventId' };
const EVENT_TS: Field = { name: 'event_ts', required: true, kind: 'time', target: 'eventTs' };
const RECEIVED_TS: Field = { name: 'received_ts', required: false, kind: 'time', target: 'receivedTs' };

const ASSIGNMENT: readonly Field[] = [
  EVENT_ID,
  { name: 'experiment_id', required: true, kind: 'id', target: 'entityId' },
  { name: 'variant_id', required: true, kind: 'id', target: 'variantId' },
  { name: 'unit_id', required: true, kind: 'id', target: 'unitId' },
  EVENT_TS,
  { name: 'allocation_version', required: false, kind: 'version', target: 'allocationVersion' },
];

/** The listed fields of each stream (contract, "Inputs"); every other name is unknown and ignored. */
export const FIELDS: Readonly<Record<Stream, readonly Field[]>> = {
  assignments: ASSIGNMENT,
  exposures: [
    ...ASSIGNMENT,
    RECEIVED_TS,
    { name: 'assigned_ts', required: false, kind: 'time', target: 'assignedTs' },
    { name: 'attributes', required: false, kind: 'object', target: 'attributes' },
  ],
  impressions: [
    EVENT_ID,
    { name: 'campaign_id', required: true, kind: 'id', target: 'entityId' },
    { name: 'spend_micros', required: true, kind: 'spend', target: 'spendMicros' },
    EVENT_TS,
    { name: 'user_id', required: false, kind: 'id', target: 'userId' },
    { name: 'advertiser_id', required: false, kind: 'id', target: 'advertiserId' },
    { name: 'surface', required: false, kind: 'text', target: 'surface' },
    RECEIVED_TS,
    { name: 'is_valid', required: false, kind: 'flag', target: 'valid' },
    { name: 'attributes', required: false, kind: 'ignorable_object', target: 'attributes' },
  ],
};

export const MAX_ID_CODE_POINTS = 256;
export const MAX_TIME_MS = 8.64e15;
export const MAX_ALLOCATION_VERSION = 2 ** 31 - 1;
