import type { Stream } from '../topology/types.ts';
import type { DecodedEvent } from './decoded-event.ts';
import type { FieldMapping } from './field-mapping.ts';

export class FastDecoder {
  static create(_stream: Stream, _options: { mapping: FieldMapping; maxSpendMicros: number }): FastDecoder | null {
    return null;
  }

  decode(_bytes: Uint8Array, _start: number, _end: number, _into: DecodedEvent): boolean {
    return false;
  }
}
