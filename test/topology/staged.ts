/** An ingest stage by itself, with short memories: fed with batches of records, and what came of them. */
import { loadSettings } from '../../src/config.ts';
import { Decoder } from '../../src/operators/decode.ts';
import { BYTES_AT, DecoderMemory } from '../../src/operators/decoder-memory.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { IngestStage } from '../../src/topology/ingest.ts';
import { unpacked } from '../../src/topology/packed-records.ts';
import { CELL_NAMES } from '../../src/topology/partials.ts';
import { ColumnBatch } from '../../src/topology/sources/column-batch.ts';
import { bytesOf, type ListedRecord, pack } from '../../src/topology/sources/listed-batch.ts';
import { RecordColumns } from '../../src/topology/sources/record-columns.ts';
import type { Commit, Now, OutRecord, RecordBatch, Stream } from '../../src/topology/types.ts';

const HOUR_MS = 3_600_000;
const PACE_MS = 10_000;
const POISON = 0x7d;
const MEMORY = DecoderMemory.make(1 << 20);
const OUTPUTS = {
  partials: 'partials',
  duplicates: 'duplicates',
  late: 'late',
  invalid: 'invalid',
  violations: 'violations',
  unique: 'unique',
};

/** One partition; units are forgotten after 3 h, ids after 4 h. */
export class Staged {
  stage: IngestStage;
  readonly #stream: Stream;
  readonly #commits: Commit[] = [];
  /** Also of cells that are closed since. */
  readonly #cells = new Map<string, number[]>();
  #nowMs = 0;
  #fetches = 0;

  constructor(stream: Stream) {
    this.#stream = stream;
    this.stage = stageOf(stream);
    this.stage.begin(0);
    this.stage.owned(1, this.#now());
  }

  process(records: readonly ListedRecord[]): void {
    const nextOffset = (records.at(-1)?.offset ?? this.stage.position - 1) + 1;
    const byteLength = bytesOf(records);
    const { columns, bytes, from } = fetched(records, byteLength, this.#fetches++ % 2 === 0);
    const place = { topic: 't', partition: 0, nextOffset, endOffset: nextOffset, byteLength };
    this.judge(new ColumnBatch(place, columns));
    // What it held ends with the next poll.
    bytes.fill(POISON, from, from + byteLength);
  }

  judge(batch: RecordBatch): void {
    this.stage.process(batch, this.#now());
  }

  /** Sends and commits; returns the side outputs. */
  commit(): OutRecord[] {
    this.#nowMs += PACE_MS;
    const sent = this.stage.emit(this.#now(), { endReachedMs: () => null, contactMs: () => this.#nowMs }, true) ?? [];
    this.#noteCells();
    const commit = this.stage.takeCommit();
    this.#commits.push({ ...commit, changes: commit.changes.slice() });
    return unpacked(sent).filter(({ topic }) => topic !== OUTPUTS.partials);
  }

  /** Another owner goes on from the commits. */
  restore(): void {
    this.stage.dispose();
    this.stage = stageOf(this.#stream);
    for (const commit of this.#commits) for (const _ of this.stage.restore(commit));
    this.stage.owned(this.#commits.length + 1, this.#now());
  }

  /** What must not depend on how records came. */
  outcome(): Record<string, unknown> {
    const { totals, watermark, units, variants, entities, position, lastRecordMs } = this.stage.state;
    const sizes = { units: units.size, variants: variants.size, entities: entities.size };
    return { totals: structuredClone(totals), watermarkMs: watermark.ms, ...sizes, position, lastRecordMs, cells: new Map(this.#cells) };
  }

  #now(): Now {
    return { monotonicMs: this.#nowMs, wallMs: this.#nowMs };
  }

  #noteCells(): void {
    const { cells, groups } = this.stage.state;
    for (const name of CELL_NAMES) {
      const table = cells[name];
      for (let i = 0; i < table.size; i++) {
        const { entity, version, variant } = groups.nameOf(table.groupOf(i));
        const time = name === 'segmentUnits' ? groups.nameOf(table.timeOf(i)).variant : table.timeOf(i);
        const columns = Array.from({ length: table.columns }, (_, column) => table.get(i, column));
        this.#cells.set([name, entity, version, variant, time].join('|'), columns);
      }
    }
  }
}

/** Records in memory that compiled code sees, right before its end, or in other memory. */
function fetched(records: readonly ListedRecord[], byteLength: number, isSeen: boolean) {
  const room = (isSeen ? MEMORY : null)?.roomFor(records.length) ?? null;
  MEMORY?.clear();
  if (MEMORY === null || room === null || byteLength > MEMORY.byteLength) {
    const columns = new RecordColumns(records.length);
    const bytes = new Uint8Array(byteLength);
    pack(records, columns, { bytes, at: 0 });
    return { columns, bytes, from: 0 };
  }
  const columns = new RecordColumns(records.length, room);
  const from = BYTES_AT + MEMORY.byteLength - byteLength;
  pack(records, columns, { bytes: MEMORY.bytes, at: from });
  return { columns, bytes: MEMORY.bytes, from };
}

function stageOf(stream: Stream): IngestStage {
  const { time, pace, limits, srm } = loadSettings({}, () => '');
  return new IngestStage({
    stream,
    topic: 't',
    partition: 0,
    partitions: 1,
    partialsPartitions: 1,
    decoder: new Decoder(stream, { mapping: {}, maxSpendMicros: 1e12, maxFutureSkewMs: 300_000 }),
    hash: new SeededHash(new Uint8Array(8).fill(9)),
    budget: new MemoryBudget(),
    time: { ...time, unitTtlMs: 3 * HOUR_MS, dedupTtlMs: 4 * HOUR_MS },
    pace,
    limits: { ...limits, evidenceMs: 6 * HOUR_MS },
    srm,
    outputs: OUTPUTS,
  });
}
