/** Evaluate's tables, and the cells of its commits. */
import type { ByteReader } from '../state/bytes.ts';
import { CELL_BLOCK, CellTable } from '../state/cells.ts';
import { CELL_NAMES, CELLS, type CellBlock, type CellName, makeCellBlock } from './partials.ts';

export type Tables = Record<CellName, CellTable>;

export const makeTables = (): Tables => Object.fromEntries(CELL_NAMES.map((name) => [name, new CellTable(CELLS[name].columns)])) as Tables;

export type TakeCells = (source: number, cells: CellBlock) => void;

/** Reads what tables have written, a block at a time; a block is of one source, of which commits have long runs. */
const CELLS_A_STEP = 8192;

export class CommittedCells {
  readonly #block = makeCellBlock();
  #source = 0;

  /** Some ms a step. */
  *read(name: CellName, from: ByteReader, take: TakeCells): Generator<void> {
    const block = this.#block;
    const { columns } = CELLS[name];
    block.name = name;
    block.size = 0;
    for (let left = from.varint(); left > 0; left--) {
      if (left % CELLS_A_STEP === 0) yield;
      const [group, source, time] = [from.varint(), from.varint(), from.varint()];
      if (block.size === CELL_BLOCK || source !== this.#source) this.#flush(take);
      this.#source = source;
      const i = block.size++;
      block.groups[i] = group;
      block.times[i] = time;
      for (let c = 0; c < columns; c++) block.values[i * columns + c] = from.varint();
    }
    this.#flush(take);
  }

  #flush(take: TakeCells): void {
    if (this.#block.size > 0) take(this.#source, this.#block);
    this.#block.size = 0;
  }
}

export const sizeOf = (tables: readonly CellTable[]): { keys: number; bytes: number } => ({
  keys: tables.reduce((sum, { size }) => sum + size, 0),
  bytes: tables.reduce((sum, { byteLength }) => sum + byteLength, 0),
});
