import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AlertStore } from '../../src/alerts/store.ts';
import { type AlertRecord, alertId, alertJson } from '../../src/alerts/types.ts';

export interface AlertStoreHarness {
  store(): AlertStore;
  /** As `exposure-stream ack` does. */
  acknowledge(id: string, atMs: number): Promise<void>;
  close(): Promise<void>;
}

export const RAISED = Date.UTC(2026, 2, 2, 12, 0, 0, 123);

export const alertOf = (subject: string, given: Partial<AlertRecord> = {}): AlertRecord => {
  const about = { kind: 'counts_uncertain', subject: { kind: 'source', id: subject }, phase: 'spring' } as const;
  const { ordinal = 0 } = given;
  return {
    ...about,
    severity: 'ticket',
    owner: 'ads',
    summary: 'something is wrong',
    description: 'we saw it',
    nextStep: 'look',
    facts: { seen: 1, of: ['a', { b: null }] },
    id: alertId(about, ordinal),
    ordinal,
    raisedAtMs: RAISED,
    updatedAtMs: RAISED,
    endedAtMs: null,
    endedBy: null,
    holds: true,
    ...given,
  };
};

const at = (version: number, epoch = 1) => ({ epoch, version });

/** The promises of an AlertStore, held against the fake and the real thing. */
export const alertStoreConformance = (name: string, open: () => Promise<AlertStoreHarness>): void => {
  describe(`${name} keeps the promises of an alert store`, () => {
    let harness: AlertStoreHarness;
    let store: AlertStore;
    beforeEach(async () => {
      harness = await open();
      store = harness.store();
    });
    afterEach(async () => {
      await store.close();
      await harness.close();
    });

    it('what was written is shown as it was, newest first, as many as asked for', async () => {
      const alerts = [
        alertOf('a'),
        alertOf('b', { raisedAtMs: RAISED + 1, severity: 'page', owner: '', holds: false }),
        alertOf('{"c": \'漢\\n💶'),
      ];
      await store.write(at(1), alerts);
      const shown = await store.open(10);
      expect(shown[0]).toEqual(alertJson(alerts[1]));
      expect(shown).toEqual(expect.arrayContaining(alerts.map(alertJson)));
      expect(await store.open(1)).toHaveLength(1);
    });

    it('writing it again adds nothing; a later position brings its content up to date, its beginning stays', async () => {
      await store.write(at(5), [alertOf('a')]);
      await store.write(at(5), [
        alertOf('a', { summary: 'worse', facts: { seen: 2 }, holds: false, updatedAtMs: RAISED + 9, raisedAtMs: RAISED + 5 }),
      ]);
      expect(await store.open(10)).toEqual([
        alertJson(alertOf('a', { summary: 'worse', facts: { seen: 2 }, holds: false, updatedAtMs: RAISED + 9 })),
      ]);
    });

    it('a writer that is behind changes nothing, one of a later epoch does', async () => {
      await store.write(at(5, 2), [alertOf('a', { summary: 'now' })]);
      await store.write(at(4, 2), [alertOf('a', { summary: 'older' })]);
      await store.write(at(99, 1), [alertOf('a', { summary: 'of the epoch before', endedAtMs: RAISED, endedBy: 'withdrawn' })]);
      expect(await store.open(10)).toMatchObject([{ summary: 'now' }]);
      await store.write(at(1, 3), [alertOf('a', { summary: 'later' })]);
      expect(await store.open(10)).toMatchObject([{ summary: 'later' }]);
    });

    it('an end is told to who asks, and is for good', async () => {
      await store.write(at(1), [alertOf('a'), alertOf('b')]);
      await store.write(at(2), [alertOf('a', { endedAtMs: RAISED + 50, endedBy: 'new_phase' })]);
      await store.write(at(3), [alertOf('a')]);
      const ids = [alertOf('a').id, alertOf('b').id, 'f'.repeat(32)];
      expect(await store.closed(ids)).toEqual([{ id: ids[0], endedAtMs: RAISED + 50, acknowledged: false }]);
      expect(await store.open(10)).toMatchObject([{ alert_id: ids[1] }]);
    });

    it('what was acknowledged is over, whatever its writer says afterwards', async () => {
      await store.write(at(1), [alertOf('a')]);
      await harness.acknowledge(alertOf('a').id, RAISED + 1000);
      await store.write(at(9), [alertOf('a', { summary: 'still so' })]);
      await store.write(at(9), [alertOf('a', { endedAtMs: RAISED + 2000, endedBy: 'new_phase' })]);
      const [closed] = await store.closed([alertOf('a').id]);
      expect(closed).toMatchObject({ id: alertOf('a').id, acknowledged: true });
      expect(closed.endedAtMs).toBeGreaterThanOrEqual(RAISED);
      expect(await store.open(10)).toEqual([]);
    });

    it('nothing asked for and nothing written is nothing', async () => {
      await store.write(at(1), []);
      expect([await store.closed([]), await store.open(10)]).toEqual([[], []]);
    });
  });
};
