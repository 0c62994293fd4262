/** A few units of an emission by their ids, for checks that evaluate makes with what the registry says. */
import type { ByteRef } from './types.ts';

/** Of one group, so that no large experiment takes all. */
const MAX_OF_GROUP = 4;

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

export class UnitSample {
  readonly groups: number[] = [];
  readonly unitIds: string[] = [];
  readonly #max: number;
  readonly #ofGroup = new Map<number, number>();

  constructor(max: number) {
    this.#max = max;
  }

  add(group: number, { bytes, start, end }: ByteRef): void {
    if (this.groups.length >= this.#max) return;
    const known = this.#ofGroup.get(group) ?? 0;
    if (known >= MAX_OF_GROUP) return;
    this.#ofGroup.set(group, known + 1);
    this.groups.push(group);
    this.unitIds.push(utf8.decode(bytes.subarray(start, end)));
  }

  clear(): void {
    this.groups.length = 0;
    this.unitIds.length = 0;
    this.#ofGroup.clear();
  }
}
