/** Keys of a log on their way into a store, a block at a time, so that their misses overlap. */
import type { FingerprintStore } from './fingerprints.ts';

const KEYS = 64;

export class KeyBlock {
  readonly #store: FingerprintStore;
  readonly #his = new Uint32Array(KEYS);
  readonly #los = new Uint32Array(KEYS);
  readonly #times = new Float64Array(KEYS);
  #size = 0;

  constructor(store: FingerprintStore) {
    this.#store = store;
  }

  /** A key with any time of its bucket. It is in the store after `flush`. Throws as `addIfAbsent`. */
  add(hi: number, lo: number, ts: number): void {
    if (this.#size === KEYS) this.flush();
    this.#his[this.#size] = hi;
    this.#los[this.#size] = lo;
    this.#times[this.#size++] = ts;
  }

  /** Before the watermark moves, and at the end. */
  flush(): void {
    const size = this.#size;
    this.#size = 0;
    this.#store.warm(this.#his, { from: 0, to: size });
    for (let i = 0; i < size; i++) this.#store.addIfAbsent(this.#his[i] | 0, this.#los[i] | 0, this.#times[i]);
  }
}
