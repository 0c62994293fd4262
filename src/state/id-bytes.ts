/** Bytes of ids, one behind the other, in pieces of a MiB: each id lies in one of them. The first piece grows up to that. */
import { NO_VIEW, viewOf } from './last-view.ts';

const FIRST_BYTES = 64;
const PIECE_SHIFT = 20;
const PIECE_BYTES = 1 << PIECE_SHIFT;
/** What the heap holds for a piece besides its bytes: as measured. Of a small one it is most. */
const OBJECT_BYTES = 590;

/** Where an id lies in what a view shows: all that its table has at that time, which stays in memory for as long as this shows it. */
export interface IdRef {
  view: DataView;
  start: number;
  end: number;
}

export const noRef = (): IdRef => ({ view: NO_VIEW, start: 0, end: 0 });

export class IdBytes {
  readonly #pieces: Uint8Array[] = [];
  /** Of the same bytes. */
  readonly #views: DataView[] = [];
  #used = 0;

  get byteLength(): number {
    return this.#pieces.reduce((sum, piece) => sum + piece.length + OBJECT_BYTES, 0);
  }

  /** Copies an id, and returns where it is: below `most`, with its end. -1 where it has no room. */
  keep(id: Uint8Array, most: number): number {
    const left = PIECE_BYTES - (this.#used & (PIECE_BYTES - 1));
    const start = id.length > left ? this.#used + left : this.#used;
    if (id.length > PIECE_BYTES || start + id.length > most) return -1;
    const number = start >>> PIECE_SHIFT;
    const from = start & (PIECE_BYTES - 1);
    if (number === this.#pieces.length) this.#pieces.push(new Uint8Array(number === 0 ? FIRST_BYTES : PIECE_BYTES));
    while (from + id.length > this.#pieces[number].length) this.#pieces[number] = doubled(this.#pieces[number]);
    if (this.#views[number]?.byteLength !== this.#pieces[number].length) this.#views[number] = viewOf(this.#pieces[number]);
    this.#pieces[number].set(id, from);
    this.#used = start + id.length;
    return start;
  }

  /** The bytes of an id of this length there, into `ref`. */
  refer(at: number, length: number, ref: IdRef): void {
    ref.view = this.#views[at >>> PIECE_SHIFT];
    ref.start = at & (PIECE_BYTES - 1);
    ref.end = ref.start + length;
  }

  /** Whether those bytes, at least four, lie there. Four at a time; of the last four some may come twice. */
  isAt(at: number, theirs: DataView, start: number, end: number): boolean {
    const own = this.#views[at >>> PIECE_SHIFT];
    const from = at & (PIECE_BYTES - 1);
    const last = end - start - 4;
    for (let i = 0; i < last; i += 4) if (own.getInt32(from + i, true) !== theirs.getInt32(start + i, true)) return false;
    return own.getInt32(from + last, true) === theirs.getInt32(start + last, true);
  }
}

function doubled(bytes: Uint8Array): Uint8Array {
  const longer = new Uint8Array(2 * bytes.length);
  longer.set(bytes);
  return longer;
}
