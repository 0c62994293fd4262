import type { Pool } from 'pg';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AlertDeliverer, backoffMsOf } from '../../src/alerts/deliverer.ts';
import { Outbox } from '../../src/alerts/outbox.ts';
import { PostgresAlertStore } from '../../src/alerts/postgres-store.ts';
import type { Route } from '../../src/alerts/routes.ts';
import type { AlertRecord } from '../../src/alerts/types.ts';
import { migrate } from '../../src/sinks/migrations.ts';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { cli } from '../commands/cli.ts';
import { alertOf, alertStoreConformance } from '../conformance/alert-store.ts';
import { until } from '../e2e/until.ts';
import { findAlertmanager, startAlertmanager } from '../services/alertmanager.ts';
import { describeIntegration, freshDatabase } from '../services/integration.ts';
import { Keeper } from '../services/keeper.ts';
import { Receiver } from '../services/receiver.ts';
import { freePort, HOST } from '../services/tools.ts';

const clock = new SystemClock();
const log = pino({ level: 'silent' });
const SECRET = 'b4tt3ry-h0rs3';
const WRITER = { epoch: 1, version: 1 };
const never = new AbortController().signal;
const alertmanager = findAlertmanager();

describeIntegration('alerts in Postgres', ({ databaseUrl }) => {
  let url: string;
  let pool: Pool;
  let receiver: Receiver;
  let base: string;
  beforeAll(async () => {
    url = await freshDatabase(databaseUrl);
    await migrate(url, { log });
    pool = openPool(url);
  });
  afterAll(() => pool.end());
  beforeEach(async () => {
    await pool.query('truncate exposure_stream.alert cascade');
    receiver = new Receiver();
    base = await receiver.listen();
  });
  afterEach(() => receiver.close());

  const raise = (...alerts: AlertRecord[]) => new PostgresAlertStore(pool).write(WRITER, alerts);
  const ack = (id: string, note = 'seen', more: string[] = []) => cli(['ack', id, '--note', note, ...more], { DATABASE_URL: url });
  const deliveries = async () =>
    (
      await pool.query(
        'select alert_id, route, event, attempts, delivered_at, last_error from exposure_stream.alert_delivery order by 1, 2',
      )
    ).rows;
  /** What waits is due now. */
  const hurry = () => pool.query('update exposure_stream.alert_delivery set next_attempt_at = now() where next_attempt_at is not null');

  const hook = (given: Partial<Route> = {}): Route => ({
    name: 'hook',
    type: 'webhook',
    url: `${base}/hook`,
    secret: null,
    kinds: [],
    severities: [],
    owners: [],
    ...given,
  });
  const failures: string[] = [];
  const delivererOf = (routes: Route[], timeoutMs = 2000) =>
    new AlertDeliverer({
      outbox: new Outbox(pool, routes),
      routes,
      links: { statusUrl: '', runbookUrl: '', experimentUrl: '' },
      timeoutMs,
      clock,
      fetch,
      observer: { failed: (_, why) => failures.push(why) },
    });

  alertStoreConformance('PostgresAlertStore', async () => {
    await pool.query('truncate exposure_stream.alert cascade');
    return {
      store: () => new PostgresAlertStore(openPool(url)),
      acknowledge: async (id) => expect((await ack(id)).code).toBe(0),
      close: async () => {},
    };
  });

  describe('an alert that pauses its experiment', () => {
    const about = { subject: { kind: 'experiment' as const, id: 'e' }, facts: { pauses_experiment: true } };
    const status = async () => (await pool.query("select status from exposure_stream.experiment where experiment_id = 'e'")).rows[0].status;
    const set = (to: string) => pool.query('update exposure_stream.experiment set status = $1', [to]);
    beforeEach(async () => {
      await pool.query('truncate exposure_stream.experiment cascade');
      await pool.query(
        "insert into exposure_stream.experiment (experiment_id, name, owner, status, randomization_unit) values ('e', 'e', 'growth', 'running', 'user')",
      );
    });

    it('does so when it is first written down, and never again: who resumes it has the last word', async () => {
      await raise(alertOf('a', about));
      expect(await status()).toBe('paused');
      await set('running');
      await raise(alertOf('a', { ...about, summary: 'changed' }));
      expect(await status()).toBe('running');
      await raise(alertOf('b', about));
      expect(await status()).toBe('paused');
    });

    it('is no other: without the option nothing is paused, nor by one that is over', async () => {
      await raise(alertOf('a', { subject: about.subject }), alertOf('b', { ...about, endedAtMs: Date.now(), endedBy: 'new_phase' }));
      expect(await status()).toBe('running');
    });

    it('is written down all the same where pausing is not allowed, which is told', async () => {
      await pool.query(
        'create role no_pauses login; grant usage on schema exposure_stream to no_pauses; grant select, insert, update on exposure_stream.alert to no_pauses',
      );
      const other = openPool(url);
      try {
        other.on('connect', (client) => void client.query('set role no_pauses'));
        await expect(new PostgresAlertStore(other).write(WRITER, [alertOf('a', about)])).rejects.toThrow(/permission denied/);
        expect((await pool.query('select alert_id from exposure_stream.alert')).rows).toHaveLength(1);
        expect(await status()).toBe('running');
        await new PostgresAlertStore(other).write(WRITER, [alertOf('a', about)]);
      } finally {
        await other.end();
        await pool.query('drop owned by no_pauses; drop role no_pauses');
      }
    });
  });

  describe('deliveries', () => {
    it('go once to each route that takes the alert, and once more at its end, whatever its writer repeats', async () => {
      const routes = [hook(), hook({ name: 'pages', severities: ['page'] }), hook({ name: 'ads', owners: ['ads'] })];
      const deliverer = delivererOf(routes);
      await raise(alertOf('a'), alertOf('b', { owner: 'growth' }));
      expect(await deliverer.look(never)).toBe(3);
      await raise(alertOf('a', { summary: 'changed' }));
      expect(await deliverer.look(never)).toBe(0);
      expect((await deliveries()).map(({ route }) => route).sort()).toEqual(['ads', 'hook', 'hook']);
      await raise(alertOf('a', { endedAtMs: Date.now(), endedBy: 'new_phase' }));
      expect(await deliverer.look(never)).toBe(2);
      expect(await deliverer.look(never)).toBe(0);
      expect(receiver.events(alertOf('a').id).sort()).toEqual(['ended', 'ended', 'raised', 'raised']);
      expect(receiver.events(alertOf('b').id)).toEqual(['raised']);
    });

    it('that fail are tried again for as long as it takes, and say why without the secret; meanwhile the oldest is told', async () => {
      const route = hook({ secret: SECRET, url: `${base}/${SECRET}` });
      const deliverer = delivererOf([route], 300);
      failures.length = 0;
      await raise(alertOf('a'));
      for (const status of [500, 404, 302, null] as const) {
        receiver.status = status;
        await deliverer.look(never);
        await hurry();
      }
      const broken = delivererOf([{ ...route, url: `http://${HOST}:${await freePort()}/x` }]);
      await broken.look(never);
      expect(failures).toEqual(['answered 500', 'answered 404', 'answered 302', 'no answer within 300 ms', 'ECONNREFUSED']);
      expect(await deliveries()).toMatchObject([{ attempts: 5, delivered_at: null, last_error: 'ECONNREFUSED' }]);
      expect((await new Outbox(pool, [route]).state()).oldestUndeliveredSeconds).toBeGreaterThan(0);
      receiver.status = 200;
      await hurry();
      await deliverer.look(never);
      expect(receiver.received.at(-1)?.headers).toMatchObject({
        authorization: `Bearer ${SECRET}`,
        'idempotency-key': `${alertOf('a').id}:raised`,
      });
      expect(await new Outbox(pool, [route]).state()).toEqual({
        open: [{ kind: 'counts_uncertain', severity: 'ticket', count: 1 }],
        oldestUndeliveredSeconds: 0,
      });
      expect(JSON.stringify([failures, await deliveries()])).not.toContain(SECRET);
    });

    it('wait longer each time, a minute at most', () => {
      expect([1, 2, 3, 6, 7, 50].map(backoffMsOf)).toEqual([1000, 2000, 4000, 32_000, 60_000, 60_000]);
    });

    it('are one process’s each, though many look at once; what a dead one had taken is another’s later', async () => {
      const routes = [hook()];
      await raise(...Array.from({ length: 60 }, (_, i) => alertOf(`s${i}`)));
      const many = Array.from({ length: 4 }, () => delivererOf(routes));
      const tried = await Promise.all(many.map((deliverer) => deliverer.look(never)));
      expect(tried.reduce((sum, n) => sum + n)).toBe(60);
      expect(new Set(receiver.received.map(({ body }) => body.alert['alert_id'])).size).toBe(60);
      expect(receiver.received).toHaveLength(60);
      await raise(alertOf('of the dead'));
      const outbox = new Outbox(pool, routes);
      await outbox.route();
      expect(await outbox.lease(10, 60_000)).toHaveLength(1);
      expect(await outbox.lease(10, 60_000)).toHaveLength(0);
      await hurry();
      expect(await many[0].look(never)).toBe(1);
    });

    it('of what is open are made for a route that is new, and not for what was over before', async () => {
      await raise(alertOf('open'), alertOf('over', { endedAtMs: Date.now(), endedBy: 'withdrawn' }));
      expect(await delivererOf([]).look(never)).toBe(0);
      expect(await delivererOf([hook()]).look(never)).toBe(1);
      expect(receiver.events(alertOf('open').id)).toEqual(['raised']);
    });

    it('that were never made while it was open are made once it is over, as ended', async () => {
      receiver.status = 500;
      const deliverer = delivererOf([hook()]);
      await raise(alertOf('a'));
      await deliverer.look(never);
      expect((await ack(alertOf('a').id, 'was known')).code).toBe(0);
      receiver.status = 200;
      await deliverer.look(never);
      await hurry();
      await deliverer.look(never);
      expect(receiver.received.map(({ body }) => [body.event, body.alert['ended_by']])).toEqual([
        ['raised', null],
        ['ended', 'acknowledged'],
      ]);
    });

    it('cut off at the end of the process are the next one’s', async () => {
      receiver.status = null;
      await raise(alertOf('a'));
      const stopping = new AbortController();
      const looking = delivererOf([hook()], 60_000).look(stopping.signal);
      await until('it is under way', async () => (await deliveries()).some(({ attempts }) => attempts === 1));
      stopping.abort();
      expect(await looking).toBe(1);
      receiver.status = 200;
      await hurry();
      expect(await delivererOf([hook()]).look(never)).toBe(1);
      expect(receiver.events(alertOf('a').id)).toEqual(['raised']);
    });
  });

  describe('ack', () => {
    it('ends the alert, keeps the note, and says the same the second time', async () => {
      const { id } = alertOf('a');
      await raise(alertOf('a'));
      expect(await ack(id, ' Ada: bad deploy ')).toMatchObject({ code: 0, out: `Alert ${id} is acknowledged: something is wrong\n` });
      const again = await ack(id, 'Bob', ['--json']);
      expect([again.code, JSON.parse(again.out)]).toMatchObject([
        0,
        { already: true, acknowledged_note: 'Ada: bad deploy', ended_by: 'acknowledged' },
      ]);
    });

    it('of an alert that there is not ends with 1 and one sentence; without a note with 2', async () => {
      const unknown = await ack('f'.repeat(32));
      expect(unknown).toMatchObject({ code: 1, out: '' });
      expect(unknown.err).toMatch(/^exposure-stream: There is no alert f{32}: .*\n$/);
      expect((await ack('x', '  ')).code).toBe(2);
      expect((await cli(['ack', 'x'], { DATABASE_URL: url })).code).toBe(2);
    });

    it('of one that had ended by itself notes who has seen it', async () => {
      await raise(alertOf('a', { endedAtMs: Date.now(), endedBy: 'new_phase' }));
      expect((await ack(alertOf('a').id, 'Ada')).out).toContain('was over already');
      const { rows } = await pool.query('select ended_by, acknowledged_note from exposure_stream.alert');
      expect(rows).toEqual([{ ended_by: 'new_phase', acknowledged_note: 'Ada' }]);
    });
  });

  it.skipIf(alertmanager === null)(
    'a real Alertmanager holds it as one alert, told again every minute, until it is acknowledged',
    async () => {
      const keeper = new Keeper();
      try {
        const real = await startAlertmanager(keeper, alertmanager ?? '');
        const deliverer = delivererOf([hook({ name: 'am', type: 'alertmanager', url: real.url })]);
        const { id } = alertOf('impressions/3');
        const raisedAtMs = Date.now() - 1000;
        await raise(alertOf('impressions/3', { raisedAtMs }));
        await deliverer.look(never);
        const [first] = await real.active();
        expect(first.labels).toMatchObject({
          alertname: 'counts_uncertain',
          alert_id: id,
          severity: 'ticket',
          owner: 'ads',
          subject: 'impressions/3',
        });
        expect(Date.parse(first.startsAt)).toBe(raisedAtMs);
        const { rows } = await pool.query(
          'select extract(epoch from next_attempt_at - now())::float8 as "inSeconds" from exposure_stream.alert_delivery',
        );
        expect(rows[0].inSeconds).toBeGreaterThan(50);
        expect(rows[0].inSeconds).toBeLessThanOrEqual(60);
        await raise(alertOf('impressions/3', { raisedAtMs, summary: 'worse', facts: { seen: 2 } }));
        await hurry();
        await deliverer.look(never);
        const again = await real.active();
        expect(again).toHaveLength(1);
        expect(again[0]).toMatchObject({ labels: first.labels, annotations: { summary: 'worse', facts: '{"seen":2}' } });
        expect((await ack(id)).code).toBe(0);
        await deliverer.look(never);
        await until('it is over there', async () => (await real.active()).length === 0);
      } finally {
        await keeper.close();
      }
    },
  );
});
