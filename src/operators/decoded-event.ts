import type { ByteRef } from '../topology/types.ts';

const NOTHING = new Uint8Array(0);
const emptyRef = (): ByteRef => ({ bytes: NOTHING, start: 0, end: 0 });

/**
 * What a record says, by its contract names. One instance is reused; its refs are valid until the next decode. Fields
 * that the stream does not have keep their defaults; after an invalid record the content means nothing.
 */
export class DecodedEvent {
  /** Epoch ms UTC, like all times here. */
  eventTs = 0;
  /** All refs: UTF-8, escapes resolved. */
  readonly eventId = emptyRef();
  /** campaign_id or experiment_id. */
  readonly entityId = emptyRef();
  /** Exposures and assignments. */
  readonly variantId = emptyRef();
  readonly unitId = emptyRef();
  allocationVersion = 1;
  /** Exposures only; NaN when absent. */
  assignedTs = Number.NaN;
  /** Exposures and impressions; NaN when absent. */
  receivedTs = Number.NaN;
  /** Impressions only, from here to `valid`. A lone surrogate in a surface (legal there) is written as three bytes, as WTF-8 does. */
  readonly userId = emptyRef();
  hasUser = false;
  readonly advertiserId = emptyRef();
  hasAdvertiser = false;
  readonly surface = emptyRef();
  hasSurface = false;
  spendMicros = 0;
  valid = true;
  /** Exposures and impressions: the JSON text of the object as it lies in the value. */
  readonly attributes = emptyRef();
  hasAttributes = false;
  /** All texts, by what TARGETS calls them. */
  readonly texts: readonly ByteRef[] = [
    this.eventId,
    this.entityId,
    this.variantId,
    this.unitId,
    this.userId,
    this.advertiserId,
    this.surface,
  ];
}

/** Back to "every optional field is absent". Required ones are left as they are. */
export function clearOptional(event: DecodedEvent): void {
  event.allocationVersion = 1;
  event.assignedTs = Number.NaN;
  event.receivedTs = Number.NaN;
  event.hasUser = false;
  event.hasAdvertiser = false;
  event.hasSurface = false;
  event.valid = true;
  event.hasAttributes = false;
}
