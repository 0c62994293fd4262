import type { Stream } from '../topology/types.ts';

/** How a field is checked: `id` 1–256 code points, `text` any string, `ignorable_object` is skipped when it is none. */
export type FieldKind = 'id' | 'text' | 'time' | 'spend' | 'version' | 'flag' | 'object' | 'ignorable_object';

/** Where a field goes in a DecodedEvent. */
export type Target =
  | 'eventId'
  | 'entityId'
  | 'variantId'
  | 'unitId'
  | 'userId'
  | 'advertiserId'
  | 'surface'
  | 'eventTs'
  | 'receivedTs'
  | 'assignedTs'
  | 'spendMicros'
  | 'allocationVersion'
  | 'valid'
  | 'attributes';

export interface Field {
  /** The contract's name. */
  name: string;
  kind: FieldKind;
  required: boolean;
  target: Target;
}

const required = (name: string, kind: FieldKind, target: Target): Field => ({ name, kind, required: true, target });
const optional = (name: string, kind: FieldKind, target: Target): Field => ({ name, kind, required: false, target });

const EXPERIMENT_FIELDS: readonly Field[] = [
  required('event_id', 'id', 'eventId'),
  required('experiment_id', 'id', 'entityId'),
  required('variant_id', 'id', 'variantId'),
  required('unit_id', 'id', 'unitId'),
  required('event_ts', 'time', 'eventTs'),
  optional('allocation_version', 'version', 'allocationVersion'),
];

/** The listed fields of each stream (contract, "Inputs"); every other name is unknown and ignored. */
export const FIELDS: Readonly<Record<Stream, readonly Field[]>> = {
  assignments: EXPERIMENT_FIELDS,
  exposures: [
    ...EXPERIMENT_FIELDS,
    optional('received_ts', 'time', 'receivedTs'),
    optional('assigned_ts', 'time', 'assignedTs'),
    optional('attributes', 'object', 'attributes'),
  ],
  impressions: [
    required('event_id', 'id', 'eventId'),
    required('campaign_id', 'id', 'entityId'),
    required('spend_micros', 'spend', 'spendMicros'),
    required('event_ts', 'time', 'eventTs'),
    optional('user_id', 'id', 'userId'),
    optional('advertiser_id', 'id', 'advertiserId'),
    optional('surface', 'text', 'surface'),
    optional('received_ts', 'time', 'receivedTs'),
    optional('is_valid', 'flag', 'valid'),
    optional('attributes', 'ignorable_object', 'attributes'),
  ],
};

export const MAX_ID_CODE_POINTS = 256;
export const MAX_TIME_MS = 8.64e15;
export const MAX_ALLOCATION_VERSION = 2 ** 31 - 1;
