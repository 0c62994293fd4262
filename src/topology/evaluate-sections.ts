/**
 * The layout of evaluate's commits: sections, each with a number and a length, so that parts of the program add what they
 * keep without knowing of each other. A section that a commit does not have has not changed.
 *
 * To keep something more: take a number here, write a `Section`, hand it to the state (`EvaluatePart.section`). In
 * another release than the last, raise STATE_FORMAT too: then an older program refuses the state before it reads one.
 */
import { StreamError } from '../errors.ts';
import { ByteReader, ByteWriter } from '../state/bytes.ts';

/** Numbers of sections, written into states: never given to something else. */
export const SECTIONS = {
  groups: 1,
  sources: 2,
  cells: 3,
  zones: 4,
  lives: 5,
  loss: 6,
  arriving: 7,
  alerts: 8,
  fleet: 9,
  experiments: 10,
  pacing: 20,
  counted: 21,
  platform: 22,
  // 11–19 experiments and their tests · 20–29 pacing · 30–39 adjustments and the reconciler
  adjustments: 30,
} as const;

/** What one part of evaluate keeps. Whatever `write` wrote since the last snapshot, `read` in the same order makes again. */
export interface Section {
  readonly id: number;
  /** Everything that has changed since the last call; nothing where nothing has. */
  write(out: ByteWriter): void;
  /** `from` ends where the section does. Where it may be long, what is returned reads it, some ms a step. */
  read(from: ByteReader): Iterable<void> | void;
  /** All of it is to be written again: the next commits are to be a snapshot. Left out where `write` always writes all. */
  touchAll?(): void;
}

/** No number is ever written like this (a zero in two bytes), so it cannot be the beginning of format 1. */
const MARK = [0x80, 0x00] as const;

/** Format 1 had no sections. */
export const isSectioned = (changes: Uint8Array): boolean => changes[0] === MARK[0] && changes[1] === MARK[1];

const scratch = new ByteWriter(16 * 1024);

export function writeSections(out: ByteWriter, sections: Iterable<Section>): void {
  for (const byte of MARK) out.u8(byte);
  for (const section of sections) {
    scratch.reset();
    section.write(scratch);
    if (scratch.length === 0) continue;
    out.varint(section.id);
    out.varint(scratch.length);
    out.bytes(scratch.view());
  }
}

/**
 * Reads what `writeSections` wrote, whatever the order, some ms a step.
 * @throws StreamError state_newer_format when there is a section that this program does not know
 */
export function* readSections(changes: Uint8Array, sections: ReadonlyMap<number, Section>): Generator<void> {
  const from = new ByteReader(changes, MARK.length);
  while (!from.done) {
    const id = from.varint();
    const length = from.varint();
    const section = sections.get(id);
    if (section === undefined) {
      throw new StreamError(
        'state_newer_format',
        `The state has a section ${id}, which this program does not know: run the version that wrote it, or a newer one.`,
      );
    }
    const start = from.position;
    from.bytes(length);
    yield* section.read(new ByteReader(changes, start, start + length)) ?? [];
  }
}

/** What the section `zones` and format 1 have there: written once, of no use any more. */
export function skipZones(from: ByteReader): void {
  for (let left = from.varint(); left > 0; left--) {
    from.varint();
    from.string();
  }
}
