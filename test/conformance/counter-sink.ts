import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CounterSink, CounterWrite } from '../../src/topology/types.ts';

/** One store of counters and what a test may do to it behind the sinks' backs. */
export interface CounterHarness {
  /** A sink object of its own over the same store. */
  sink(): CounterSink;
  /** All fields of a key, null when there is none. */
  read(key: string): Promise<Record<string, string> | null>;
  /** Remaining life in ms, null without one. */
  expiryMs(key: string): Promise<number | null>;
  wipe(): Promise<void>;
  /** Puts a hash in place as another program would, with no fence. */
  plant(key: string, fields: Record<string, string>): Promise<void>;
  close(): Promise<void>;
}

const HOUR_MS = 3_600_000;
const spend = (key: string, micros: string, expiryMs = HOUR_MS): CounterWrite => ({ key, fields: { spend_micros: micros }, expiryMs });
const at = (version: number, epoch = 1) => ({ partition: 3, epoch, version });

/** The promises of a CounterSink, held against the fake and the real thing. */
export const counterSinkConformance = (name: string, open: () => Promise<CounterHarness>): void => {
  describe(`${name} keeps the promises of a counter sink`, () => {
    let store: CounterHarness;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store.close());

    it('a write sets the fields, the fence and the expiry', async () => {
      await store.sink().write(at(7), [{ key: 'exposed:{e}', fields: { 'units:a': '12', contaminated: '0' }, expiryMs: HOUR_MS }]);
      expect(await store.read('exposed:{e}')).toEqual({ 'units:a': '12', contaminated: '0', epoch: '1', version: '7' });
      const expiryMs = await store.expiryMs('exposed:{e}');
      expect(expiryMs).toBeGreaterThan(HOUR_MS - 10_000);
      expect(expiryMs).toBeLessThanOrEqual(HOUR_MS);
    });

    it('a lower version is refused, named with what is stored, and changes nothing, the expiry included', async () => {
      const sink = store.sink();
      await sink.write(at(10), [spend('spend:{c}:d', '500')]);
      const outcome = await sink.write(at(9), [spend('spend:{c}:d', '400', 10 * HOUR_MS), spend('spend:{new}:d', '1')]);
      expect(outcome.refused).toContainEqual({ key: 'spend:{c}:d', epoch: 1, version: 10 });
      expect(await store.read('spend:{c}:d')).toEqual({ spend_micros: '500', epoch: '1', version: '10' });
      expect(await store.expiryMs('spend:{c}:d')).toBeLessThanOrEqual(HOUR_MS);
      expect(await store.read('spend:{new}:d')).toMatchObject({ version: '9' });
    });

    it('an equal version overwrites, because time and the registry move on while the log stands still', async () => {
      const sink = store.sink();
      await sink.write(at(10), [spend('spend:{c}:d', '500')]);
      expect((await sink.write(at(10), [spend('spend:{c}:d', '450', 2 * HOUR_MS)])).refused).toEqual([]);
      expect(await store.read('spend:{c}:d')).toMatchObject({ spend_micros: '450', version: '10' });
      expect(await store.expiryMs('spend:{c}:d')).toBeGreaterThan(HOUR_MS);
    });

    it('versions compare as numbers and epochs come first', async () => {
      const sink = store.sink();
      await sink.write(at(9), [spend('k', '1')]);
      expect((await sink.write(at(10), [spend('k', '2')])).refused).toEqual([]);
      expect((await sink.write(at(0, 2), [spend('k', '3')])).refused).toEqual([]);
      expect((await sink.write(at(11, 1), [spend('k', '4')])).refused).toContainEqual({ key: 'k', epoch: 2, version: 0 });
      expect(await store.read('k')).toMatchObject({ spend_micros: '3' });
    });

    it('versions next to 2^53 and amounts of any length come back to the digit', async () => {
      const sink = store.sink();
      const top = Number.MAX_SAFE_INTEGER;
      await sink.write(at(top), [spend('k', '9007199254740991123')]);
      expect((await sink.write(at(top - 1), [spend('k', '1')])).refused).toContainEqual({ key: 'k', epoch: 1, version: top });
      expect(await store.read('k')).toEqual({ spend_micros: '9007199254740991123', epoch: '1', version: String(top) });
    });

    it('a hash without a fence is written: there is nothing to respect', async () => {
      await store.plant('spend:{c}:d', { spend_micros: '99', note: 'by hand' });
      expect((await store.sink().write(at(1), [spend('spend:{c}:d', '5')])).refused).toEqual([]);
      expect(await store.read('spend:{c}:d')).toMatchObject({ spend_micros: '5', epoch: '1', version: '1' });
    });

    it('many keys and odd names all arrive, in one call', async () => {
      const odd = ['{}:', '__proto__', 'quote"back\\slash', '💶'.repeat(256), ' ', '}{', 'a\nb', '*?[x]'];
      const writes = [...odd, ...Array.from({ length: 1_234 }, (_, n) => `n${n}`)].map((id, n) =>
        spend(`spend:{${id}}:2026-01-01`, String(n)),
      );
      expect((await store.sink().write(at(5), writes)).refused).toEqual([]);
      for (const write of [...writes.slice(0, 10), writes.at(-1)!]) {
        expect(await store.read(write.key)).toEqual({ ...write.fields, epoch: '1', version: '5' });
      }
    });

    it('what is written in one call is what each write by itself would leave, whatever stands beside it', async () => {
      const sink = store.sink();
      const kinds: Omit<CounterWrite, 'key'>[] = [
        { fields: { spend_micros: '50', impressions: '5', watermark_ms: '7' }, expiryMs: HOUR_MS },
        { fields: { spend_micros: '60', impressions: '6', watermark_ms: '8' }, expiryMs: HOUR_MS },
        { fields: { impressions: '7', spend_micros: '70', watermark_ms: '9' }, expiryMs: HOUR_MS },
        { fields: { spend_micros: '80', impressions: '8', watermark_ms: '9' }, expiryMs: HOUR_MS, keepLarger: true },
        { fields: { spend_micros: '90', impressions: '9', watermark_ms: '9' }, expiryMs: 2 * HOUR_MS, keepLarger: true },
        { fields: { spend_micros: '0' }, expiryMs: HOUR_MS, onlyExisting: true },
        { fields: { spend_micros: '1' }, expiryMs: HOUR_MS, onlyExisting: true, keepLarger: true },
        { fields: { 'units:a': '3', contaminated: '1' }, expiryMs: HOUR_MS },
        { fields: {}, expiryMs: HOUR_MS },
      ];
      // Each kind beside each other one, twice, over keys that are new, older, ahead, and hold more.
      const kindAt = (n: number): number => (n % 2 === 0 ? n / 2 : n * 5) % kinds.length;
      const writes = (name: string): CounterWrite[] =>
        Array.from({ length: 500 }, (_, n) => ({ ...kinds[kindAt(n)], key: `${name}:${n}` }));
      for (const name of ['together', 'alone']) {
        const old = (n: number) => spend(`${name}:${n}`, String(n % 200));
        const every = (step: number) => Array.from({ length: 500 / step }, (_, i) => old(i * step));
        await sink.write(at(3), every(2));
        await sink.write(at(9), every(5));
      }
      const together = await sink.write(at(6), writes('together'));
      const alone = { refused: new Set<string>(), kept: new Set<string>() };
      for (const write of writes('alone')) {
        const { refused, kept } = await sink.write(at(6), [write]);
        // The marker is refused with every call.
        for (const { key, version } of refused) alone.refused.add(`${key.replace('alone', 'together')} ${version}`);
        for (const { key, spendMicros } of kept) alone.kept.add(`${key.replace('alone', 'together')} ${spendMicros}`);
      }
      expect(new Set(together.refused.map(({ key, version }) => `${key} ${version}`))).toEqual(alone.refused);
      expect(new Set(together.kept.map(({ key, spendMicros }) => `${key} ${spendMicros}`))).toEqual(alone.kept);
      expect([alone.refused.size, alone.kept.size].every((size) => size > 10)).toBe(true);
      for (let n = 0; n < 500; n++) expect(await store.read(`together:${n}`)).toEqual(await store.read(`alone:${n}`));
    });

    it('a writer that has lost state raises amounts and lowers none; all else is set as given', async () => {
      const sink = store.sink();
      const write = (keepLarger: boolean, amounts: string[], watermarkMs: string): CounterWrite => {
        const names = ['spend_micros', 'impressions', 'contaminated', 'units:a', 'units:__proto__', 'watermark_ms'];
        const fields = Object.fromEntries(names.map((field, i) => [field, [...amounts, watermarkMs][i]]));
        return { key: 'k', fields, expiryMs: keepLarger ? 2 * HOUR_MS : HOUR_MS, ...(keepLarger && { keepLarger }) };
      };
      await sink.write(at(10), [write(false, ['100', '9', '7', '40', '5'], '500')]);
      expect((await sink.write(at(11, 2), [write(true, ['99', '8', '6', '5', '50'], '400')])).refused).toEqual([]);
      expect(await store.read('k')).toEqual({
        spend_micros: '100',
        impressions: '9',
        contaminated: '7',
        'units:a': '40',
        'units:__proto__': '50',
        watermark_ms: '400',
        epoch: '2',
        version: '11',
      });
      expect(await store.expiryMs('k')).toBeGreaterThan(HOUR_MS);
      // A writer whose state is whole again corrects it downwards too.
      await sink.write(at(12, 2), [write(false, ['1', '1', '1', '1', '1'], '600')]);
      expect(await store.read('k')).toMatchObject({ spend_micros: '1', 'units:a': '1', watermark_ms: '600' });
    });

    it('where a larger spend was kept, the writer hears of it', async () => {
      const sink = store.sink();
      await sink.write(at(1), [spend('more', '9'), spend('less', '3'), spend('same', '5')]);
      const writes = ['more', 'less', 'same', 'new'].map((key) => ({ ...spend(key, '5'), keepLarger: true }));
      expect((await sink.write(at(2), writes)).kept).toEqual([{ key: 'more', spendMicros: 9 }]);
      expect((await sink.write(at(3), [spend('more', '5')])).kept).toEqual([]);
    });

    it('a larger spend is asked for without making a key', async () => {
      const sink = store.sink();
      await sink.write(at(1), [{ ...spend('there', '9'), fields: { spend_micros: '9', watermark_ms: '5' } }]);
      const ask = (key: string): CounterWrite => ({ ...spend(key, '0'), keepLarger: true, onlyExisting: true });
      expect((await sink.write(at(2), ['there', 'nowhere'].map(ask))).kept).toEqual([{ key: 'there', spendMicros: 9 }]);
      expect(await store.read('there')).toMatchObject({ spend_micros: '9', watermark_ms: '5' });
      expect(await store.read('nowhere')).toBeNull();
    });

    it('a stamped write carries the store’s own time, and every outcome tells it', async () => {
      const sink = store.sink();
      const { timeMs } = await sink.write(at(1), [{ ...spend('stamped', '1'), stamped: true }, spend('plain', '1')]);
      const stamp = (await store.read('stamped'))?.['updated_ms'] ?? '';
      expect(stamp).toMatch(/^\d+$/);
      expect(Math.abs(timeMs - Number(stamp))).toBeLessThan(2000);
      expect(await store.read('plain')).not.toHaveProperty('updated_ms');
      const later = await sink.write(at(1), [{ ...spend('stamped', '1'), stamped: true }]);
      expect(Number((await store.read('stamped'))?.['updated_ms'])).toBeGreaterThanOrEqual(Number(stamp));
      expect(later.timeMs).toBeGreaterThanOrEqual(timeMs);
    });

    it('a write for existing keys only makes none, and is fenced where there is one', async () => {
      const sink = store.sink();
      await sink.write(at(5), [spend('there', '7'), spend('ahead', '7')]);
      await sink.write(at(9), [spend('ahead', '8')]);
      const zero = (key: string): CounterWrite => ({ ...spend(key, '0'), onlyExisting: true });
      const outcome = await sink.write(at(6), ['there', 'ahead', 'nowhere'].map(zero));
      expect(outcome.refused).toContainEqual({ key: 'ahead', epoch: 1, version: 9 });
      expect(outcome.refused.map(({ key }) => key)).not.toContain('nowhere');
      expect(await store.read('there')).toEqual({ spend_micros: '0', epoch: '1', version: '6' });
      expect(await store.read('ahead')).toMatchObject({ spend_micros: '8' });
      expect(await store.read('nowhere')).toBeNull();
    });

    it('a writer that has lost state is fenced like every other', async () => {
      const sink = store.sink();
      await sink.write(at(10), [spend('k', '5')]);
      expect((await sink.write(at(9), [{ ...spend('k', '6'), keepLarger: true }])).refused).toContainEqual({
        key: 'k',
        epoch: 1,
        version: 10,
      });
      expect(await store.read('k')).toMatchObject({ spend_micros: '5', version: '10' });
    });

    it('the larger of two amounts is found to the digit beyond 2^53, and what is no amount gives way', async () => {
      const sink = store.sink();
      const kept = async (stored: string, given: string): Promise<string | undefined> => {
        await sink.write(at(1), [spend('k', stored)]);
        await sink.write(at(1), [{ ...spend('k', given), keepLarger: true }]);
        return (await store.read('k'))?.['spend_micros'];
      };
      expect(await kept('9007199254740991123', '9007199254740991122')).toBe('9007199254740991123');
      expect(await kept('9007199254740991122', '9007199254740991123')).toBe('9007199254740991123');
      expect(await kept('9', '10')).toBe('10');
      expect(await kept('10', '9')).toBe('10');
      for (const stored of ['', 'nan', '-1', '1e9', '0x10', '9.5']) expect(await kept(stored, '3'), stored).toBe('3');
      await sink.write(at(2), [{ ...spend('new', '4'), keepLarger: true }]);
      expect(await store.read('new')).toMatchObject({ spend_micros: '4', version: '2' });
    });

    it('in a key of 10,000 variants each keeps its larger amount', async () => {
      const units = (of: (n: number) => number) =>
        Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`units:v${n}`, String(of(n))]));
      const write = (fields: Record<string, string>) => ({ key: 'exposed:{wide}', fields, expiryMs: HOUR_MS });
      await store.sink().write(at(5), [write(units((n) => n))]);
      await store.sink().write(at(6), [
        { ...write(units((n) => 9_999 - n)), keepLarger: true },
        { ...spend('k', '1'), keepLarger: true },
      ]);
      expect(await store.read('exposed:{wide}')).toEqual({ ...units((n) => Math.max(n, 9_999 - n)), epoch: '1', version: '6' });
      expect(await store.read('k')).toMatchObject({ spend_micros: '1' });
    });

    it('an experiment of 10,000 variants fits into one key', async () => {
      const fields = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`units:v${n}`, String(n)]));
      await store.sink().write(at(5), [{ key: 'exposed:{wide}', fields, expiryMs: HOUR_MS }]);
      expect(await store.read('exposed:{wide}')).toEqual({ ...fields, epoch: '1', version: '5' });
    });
  });

  describe(`${name} notices lost data`, () => {
    let store: CounterHarness;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store.close());

    it('as long as the marker is where it was left, nothing is lost, writes without counters included', async () => {
      const sink = store.sink();
      await sink.write(at(1), [spend('k', '1')]);
      expect((await sink.write(at(2), [])).dataLost).toBe(false);
      expect((await sink.write(at(2), [spend('k', '2')])).dataLost).toBe(false);
      expect(await store.read('marker:{3}')).toEqual({ epoch: '1', version: '2' });
    });

    it('after a wipe the next write says so, once', async () => {
      const sink = store.sink();
      await sink.write(at(1), [spend('k', '1')]);
      await store.wipe();
      expect((await sink.write(at(1), [])).dataLost).toBe(true);
      expect((await sink.write(at(2), [spend('k', '1')])).dataLost).toBe(false);
    });

    it('an old dump is noticed by its old marker', async () => {
      const sink = store.sink();
      await sink.write(at(20), [spend('k', '1')]);
      await store.plant('marker:{3}', { epoch: '1', version: '12' });
      expect((await sink.write(at(21), [])).dataLost).toBe(true);
      expect((await sink.write(at(22), [])).dataLost).toBe(false);
    });

    it('a new writer trusts a marker that is there, and not an empty store once something has been counted', async () => {
      expect((await store.sink().write(at(0), [])).dataLost).toBe(false);
      expect((await store.sink().write(at(5), [])).dataLost).toBe(false);
      await store.wipe();
      expect((await store.sink().write(at(6), [])).dataLost).toBe(true);
    });

    it('each partition has a marker of its own', async () => {
      const sink = store.sink();
      await sink.write({ partition: 1, epoch: 1, version: 50 }, []);
      await sink.write({ partition: 2, epoch: 1, version: 4 }, []);
      expect(await store.read('marker:{1}')).toMatchObject({ version: '50' });
      expect(await store.read('marker:{2}')).toMatchObject({ version: '4' });
    });

    it('a marker that a later owner has moved on is left alone, and named', async () => {
      const before = store.sink();
      await before.write(at(10), [spend('k', '1')]);
      await store.sink().write(at(30), [spend('k', '3')]);
      expect(await before.write(at(11), [])).toMatchObject({ refused: [{ key: 'marker:{3}', epoch: 1, version: 30 }], dataLost: false });
    });

    it('a task rebuilt at a lower position after a loss is not told of the loss for ever', async () => {
      const sink = store.sink();
      await sink.write(at(100), []);
      await store.wipe();
      expect((await sink.write(at(90), [])).dataLost).toBe(true);
      expect((await sink.write(at(91), [])).dataLost).toBe(false);
    });
  });
};
