import { describe, expect, test } from 'vitest';
import { AlertBook } from '../../src/alerts/book.ts';
import { type AlertDraft, type AlertRecord, alertId, type Subject } from '../../src/alerts/types.ts';
import { ByteReader, ByteWriter } from '../../src/state/bytes.ts';

const subject: Subject = { kind: 'source', id: 'impressions/3' };
const KIND = 'counts_uncertain';

const draft = (given: Partial<AlertDraft> = {}): AlertDraft => ({
  kind: KIND,
  subject,
  phase: 'spring',
  severity: 'ticket',
  owner: 'ads',
  summary: 'something is wrong',
  description: 'we saw it',
  nextStep: 'look',
  facts: { seen: 1 },
  ...given,
});

const commitOf = (book: AlertBook): Uint8Array => {
  const out = new ByteWriter();
  book.write(out);
  return out.take();
};

/** As the task does: a commit, and the step after it. */
const commit = (book: AlertBook): Uint8Array => {
  const changes = commitOf(book);
  book.settle();
  return changes;
};

const restored = (...commits: Uint8Array[]): AlertBook => {
  const book = new AlertBook();
  for (const changes of commits) book.read(new ByteReader(changes));
  return book;
};

const open = (book: AlertBook): AlertRecord[] => [...book.open()];
const durable = (book: AlertBook): [string, string | null][] => [...book.durable()].map(({ id, endedBy }) => [id, endedBy]);
const id = (ordinal: number, phase = 'spring'): string => alertId(draft({ phase }), ordinal);
const acknowledged = (which: string, endedAtMs: number) => ({ id: which, endedAtMs, acknowledged: true });

describe('an alert', () => {
  test('latches at the first raise; what is raised after that brings only its content up to date', () => {
    const book = new AlertBook();
    expect(book.raise(draft(), 100)).toBe('raised');
    expect(book.raise(draft({ summary: 'worse', facts: { seen: 2 }, owner: 'somebody else' }), 200)).toBe('updated');
    expect(open(book)).toEqual([
      {
        ...draft({ summary: 'worse', facts: { seen: 2 } }),
        id: id(0),
        ordinal: 0,
        raisedAtMs: 100,
        updatedAtMs: 200,
        endedAtMs: null,
        endedBy: null,
        holds: true,
      },
    ]);
  });

  test('does not flap: it stays when its condition no longer holds, says so, and is the same one when it holds again', () => {
    const book = new AlertBook();
    book.raise(draft(), 100);
    book.clear(KIND, subject, 200);
    expect(book.latched(KIND, subject)).toMatchObject({ id: id(0), holds: false, endedAtMs: null });
    book.raise(draft(), 300);
    expect(open(book)).toMatchObject([{ id: id(0), holds: true, raisedAtMs: 100 }]);
  });

  test('ends when it is acknowledged, is quiet while its condition still holds, and a new one when it has been away', () => {
    const book = new AlertBook();
    book.raise(draft(), 100);
    book.closed(acknowledged(id(0), 150));
    expect(open(book)).toEqual([]);
    expect([book.raise(draft(), 200), book.raise(draft(), 300)]).toEqual(['quiet', 'quiet']);
    book.clear(KIND, subject, 400);
    expect(book.raise(draft(), 500)).toBe('raised');
    expect(open(book)).toMatchObject([{ id: id(1), ordinal: 1, raisedAtMs: 500 }]);
  });

  test('that Postgres has as over, though nobody acknowledged it, goes on under the next id once it was seen to hold later', () => {
    const book = new AlertBook();
    book.raise(draft(), 100);
    // The state was lost, and this is a replay: at 150 the alert was withdrawn, by a registry that is another one now.
    book.closed({ id: id(0), endedAtMs: 150, acknowledged: false });
    expect(open(book)).toMatchObject([{ id: id(0) }]);
    book.raise(draft({ facts: { seen: 2 } }), 200);
    book.closed({ id: id(0), endedAtMs: 150, acknowledged: false });
    expect(open(book)).toMatchObject([{ id: id(1), ordinal: 1, raisedAtMs: 200, facts: { seen: 2 } }]);
  });

  test('that no longer held when it was acknowledged is a new one as soon as it holds again', () => {
    const book = new AlertBook();
    book.raise(draft(), 100);
    book.clear(KIND, subject, 120);
    book.closed(acknowledged(id(0), 150));
    expect(book.raise(draft(), 200)).toBe('raised');
    expect(open(book)).toMatchObject([{ id: id(1) }]);
  });

  test('ends with its phase; the next phase begins anew, also after an acknowledgement', () => {
    const book = new AlertBook();
    book.raise(draft(), 100);
    book.enterPhase(KIND, subject, 'summer', 200);
    expect(open(book)).toEqual([]);
    expect(book.raise(draft({ phase: 'summer' }), 300)).toBe('raised');
    book.closed(acknowledged(id(0, 'summer'), 400));
    expect(book.raise(draft({ phase: 'autumn' }), 500)).toBe('raised');
    expect(open(book)).toMatchObject([{ id: id(0, 'autumn') }]);
    commit(book);
    expect(durable(book)).toEqual(
      expect.arrayContaining([
        [id(0), 'new_phase'],
        [id(0, 'summer'), 'acknowledged'],
        [id(0, 'autumn'), null],
      ]),
    );
  });

  test('gives way to a more severe one, which goes out under an id of its own; less severe it never becomes', () => {
    const book = new AlertBook();
    book.raise(draft(), 100);
    expect(book.raise(draft({ severity: 'page' }), 200)).toBe('raised');
    expect(book.raise(draft({ severity: 'info' }), 300)).toBe('updated');
    expect(open(book)).toMatchObject([{ id: id(1), severity: 'page' }]);
    commit(book);
    expect(durable(book)).toEqual(
      expect.arrayContaining([
        [id(0), 'more_severe'],
        [id(1), null],
      ]),
    );
  });

  test('that was acknowledged as a ticket is raised again when it has become a page', () => {
    const book = new AlertBook();
    book.raise(draft(), 100);
    book.closed(acknowledged(id(0), 150));
    expect(book.raise(draft({ severity: 'page' }), 200)).toBe('raised');
  });

  test('is withdrawn when there is nothing to be alerted about', () => {
    const book = new AlertBook();
    book.raise(draft(), 100);
    book.withdraw(KIND, subject, 200);
    commit(book);
    expect(durable(book)).toEqual([[id(0), 'withdrawn']]);
    expect(book.raise(draft(), 300)).toBe('raised');
    expect(open(book)).toMatchObject([{ ordinal: 1 }]);
  });

  test('has an id of subject, kind, phase and ordinal alone, and each of them counts', () => {
    const ids = [
      alertId(draft(), 0),
      alertId(draft(), 1),
      alertId(draft({ phase: '' }), 0),
      alertId(draft({ subject: { kind: 'source', id: 'impressions/4' } }), 0),
      alertId(draft({ subject: { kind: 'campaign', id: 'impressions/3' } }), 0),
    ];
    expect(new Set(ids).size).toBe(ids.length);
    expect(alertId(draft({ severity: 'page', owner: 'x', summary: 'y', facts: {} }), 0)).toBe(ids[0]);
    expect(ids[0]).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('an acknowledgement', () => {
  test('of an alert that is not there, or is over, changes nothing', () => {
    const book = new AlertBook();
    book.raise(draft(), 100);
    book.closed(acknowledged('somebody else’s', 150));
    expect(open(book)).toHaveLength(1);
    book.closed(acknowledged(id(0), 150));
    book.closed(acknowledged(id(0), 160));
    book.clear(KIND, subject, 200);
    book.raise(draft(), 300);
    expect(open(book)).toMatchObject([{ ordinal: 1 }]);
  });

  test('that is older than the alert was of another under the same id, before the state was lost: it goes on under the next', () => {
    const book = new AlertBook();
    book.raise(draft(), 1000);
    commit(book);
    book.closed(acknowledged(id(0), 500));
    expect(open(book)).toMatchObject([{ id: id(1), raisedAtMs: 1000 }]);
    commit(book);
    expect(durable(book)).toEqual([[id(1), null]]);
  });

  test('is not what an end by other means is: the replay has yet to come to that', () => {
    const book = new AlertBook();
    book.raise(draft(), 1000);
    book.closed({ id: id(0), endedAtMs: 2000, acknowledged: false });
    expect(open(book)).toHaveLength(1);
  });
});

describe('what may leave the process', () => {
  test('is what a commit has, from the step after it: an alert that a crash undoes was told to nobody', () => {
    const book = new AlertBook();
    book.raise(draft(), 100);
    expect(book.uncommitted).toBe(true);
    book.settle();
    expect(durable(book)).toEqual([]);
    commitOf(book);
    expect(durable(book)).toEqual([]);
    book.settle();
    expect(durable(book)).toEqual([[id(0), null]]);
    expect(book.uncommitted).toBe(false);
  });

  test('is all of it after a restart, ended ones until Postgres has them', () => {
    const book = new AlertBook();
    book.raise(draft(), 100);
    const commits = [commit(book)];
    book.raise(draft({ phase: 'summer' }), 200);
    commits.push(commit(book));
    const again = restored(...commits);
    expect(durable(again).sort()).toEqual(
      [
        [id(0), 'new_phase'],
        [id(0, 'summer'), null],
      ].sort(),
    );
    const [ended] = [...again.durable()].filter(({ endedAtMs }) => endedAtMs !== null);
    again.stored(ended);
    commits.push(commit(again));
    expect(durable(again)).toEqual([[id(0, 'summer'), null]]);
    expect(durable(restored(...commits))).toEqual([[id(0, 'summer'), null]]);
  });

  test('stays the same value while nothing changes', () => {
    const book = new AlertBook();
    book.raise(draft(), 100);
    commit(book);
    const [before] = [...book.durable()];
    book.raise(draft(), 200);
    expect(book.uncommitted).toBe(false);
    book.touchAll();
    commit(book);
    expect([...book.durable()][0]).toBe(before);
  });
});

test('while the stream lags nothing suppressible is raised, and it says so; what is latched stays; then all is raised that still holds', () => {
  const book = new AlertBook(() => true);
  const other: Subject = { kind: 'source', id: 'exposures/0' };
  book.raise(draft(), 100);
  book.suppress('the stream is 40 s behind');
  expect(book.raise(draft({ summary: 'still' }), 200)).toBe('updated');
  expect([book.raise(draft({ subject: other }), 200), book.raise(draft({ subject: other }), 250)]).toEqual(['suppressed', 'suppressed']);
  expect(book.suppressed).toEqual([
    { kind: KIND, subject: other, summary: draft().summary, sinceMs: 200, reason: 'the stream is 40 s behind' },
  ]);
  expect(open(book)).toHaveLength(1);
  book.clear(KIND, other, 260);
  expect(book.suppressed).toEqual([]);
  book.raise(draft({ subject: other }), 300);
  book.suppress(null);
  expect(book.suppressed).toEqual([]);
  expect(book.raise(draft({ subject: other }), 400)).toBe('raised');
  expect(book.latched(KIND, other)).toMatchObject({ id: alertId(draft({ subject: other }), 0), raisedAtMs: 400 });
});

test('a kind that is not suppressible is raised however far the stream lags', () => {
  const book = new AlertBook();
  book.suppress('the stream is 40 s behind');
  expect(book.raise(draft(), 100)).toBe('raised');
});

test('latches, ordinals and what is quiet survive a restart, by commits or by a snapshot alone', () => {
  const book = new AlertBook();
  const other: Subject = { kind: 'source', id: 'exposures/0' };
  book.raise(draft(), 100);
  book.raise(draft({ subject: other }), 100);
  const commits = [commit(book)];
  book.closed(acknowledged(id(0), 150));
  commits.push(commit(book));
  expect(commit(book)).toHaveLength(0);
  book.touchAll();
  const snapshot = commit(book);
  for (const from of [commits, [snapshot]]) {
    const again = restored(...from);
    expect(again.latched(KIND, other)).toMatchObject({ ordinal: 0 });
    expect(again.raise(draft(), 200)).toBe('quiet');
    again.clear(KIND, subject, 250);
    again.raise(draft(), 300);
    expect(again.latched(KIND, subject)).toMatchObject({ id: id(1) });
  }
});
