import { pino } from 'pino';
import { expect, it } from 'vitest';
import { makeMigration, migrate, readMigrations, schemaVersion } from '../../src/sinks/migrations.ts';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { PostgresTotals } from '../../src/sinks/postgres-totals.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { batchOf, spendRow } from '../conformance/totals-sink.ts';
import { describeIntegration, freshDatabase } from '../services/integration.ts';

const HOUR_MS = 3_600_000;
const clock = new SystemClock();
const log = pino({ level: 'silent' });

describeIntegration('migrations', ({ databaseUrl }) => {
  it('run once, in order, though several processes start them at the same time', async () => {
    const fresh = await freshDatabase(databaseUrl);
    const results = await Promise.all([1, 2, 3, 4].map(() => migrate(fresh, { log })));
    const names = (await readMigrations()).map(({ name }) => name);
    expect(results.flatMap(({ applied }) => applied).sort()).toEqual(names);
    expect(await migrate(fresh, { log })).toEqual({ applied: [], already: names.length });
  });

  it('refuse a file that has run and is another one now, by name', async () => {
    const fresh = await freshDatabase(databaseUrl);
    const first = makeMigration('001_a.sql', 'create table exposure_stream.a ()');
    await migrate(fresh, { log, migrations: [first] });
    expect(makeMigration('001_a.sql', first.sql.replace('()', '( )')).checksum).not.toBe(first.checksum);
    const changed = migrate(fresh, { log, migrations: [makeMigration('001_a.sql', 'create table exposure_stream.b ()')] });
    await expect(changed).rejects.toMatchObject({ code: 'schema_changed', message: expect.stringContaining('001_a.sql') });
  });

  it('take a file that has run in a form which it names as its own, and no other', async () => {
    const fresh = await freshDatabase(databaseUrl);
    const first = makeMigration('001_a.sql', 'create table exposure_stream.a ()');
    await migrate(fresh, { log, migrations: [first] });
    const now = makeMigration('001_a.sql', `-- formerly: ${first.checksum}\ncreate table if not exists exposure_stream.a ()`);
    expect(await migrate(fresh, { log, migrations: [now] })).toEqual({ applied: [], already: 1 });
    const other = makeMigration('001_a.sql', `-- formerly: ${'0'.repeat(64)}\ncreate table exposure_stream.a ()`);
    await expect(migrate(fresh, { log, migrations: [other] })).rejects.toMatchObject({ code: 'schema_changed' });
  });

  it('a file that fails leaves nothing of itself and runs again the next time', async () => {
    const fresh = await freshDatabase(databaseUrl);
    const good = makeMigration('001_a.sql', 'create table exposure_stream.a ()');
    const bad = makeMigration('002_b.sql', 'create table exposure_stream.b (); select 1 / 0');
    await expect(migrate(fresh, { log, migrations: [good, bad] })).rejects.toThrow('division by zero');
    const mended = makeMigration('002_b.sql', 'create table exposure_stream.b ()');
    expect(await migrate(fresh, { log, migrations: [good, mended] })).toEqual({ applied: ['002_b.sql'], already: 1 });
  });

  it('a newer program’s files are no fault, and what is missing is known', async () => {
    const fresh = openPool(await freshDatabase(databaseUrl), 1);
    const all = await readMigrations();
    expect(await schemaVersion(fresh)).toEqual({ newest: null, missing: all.map(({ name }) => name) });
    await migrate(fresh, { log, migrations: all.slice(0, 1) });
    expect((await schemaVersion(fresh)).missing).toEqual(all.slice(1).map(({ name }) => name));
    await migrate(fresh, { log, migrations: [...all, makeMigration('999_newer.sql', 'select 1')] });
    expect(await schemaVersion(fresh)).toEqual({ newest: '999_newer.sql', missing: [] });
    await fresh.end();
  });

  it('leave a contract view as its company has made it, from whichever migration they go on, and bring their own up to date', async () => {
    const all = await readMigrations();
    const since = all.findIndex(({ name }) => name.startsWith('004'));
    const mine = (view: string, columns: string) => `drop table if exists public.mine; create table public.mine (${columns});
      drop view exposure_stream.${view}; create view exposure_stream.${view} as select * from public.mine`;
    const cases: [view: string, sql: string, is: string][] = [
      [
        'truth_spend_hourly',
        mine(
          'truth_spend_hourly',
          'campaign_id varchar(9), hour timestamptz, spend_micros numeric, impressions integer, booked_at timestamptz',
        ),
        'FROM mine',
      ],
      [
        'truth_exposure_hourly',
        mine(
          'truth_exposure_hourly',
          'experiment_id varchar(9), allocation_version smallint, variant_id varchar(9), hour timestamptz, units integer, booked_at timestamptz',
        ),
        'FROM mine',
      ],
      [
        'truth_exposure_hourly',
        `create or replace view exposure_stream.truth_exposure_hourly as select experiment_id, allocation_version, variant_id,
        date_trunc('hour', event_ts, 'UTC') as hour, count(*) as units, booked_at from exposure_stream.experiment_exposure where unit_id <> 'test' group by 1, 2, 3, 4, 6`,
        "'test'",
      ],
      ['truth_exposure_hourly', 'select 1', 'NOT (EXISTS'],
      ['truth_spend_hourly', 'select 1', 'date_bin'],
    ];
    for (let done = since + 1; done < all.length; done++) {
      for (const [view, sql, is] of cases) {
        const fresh = openPool(await freshDatabase(databaseUrl), 1);
        await migrate(fresh, { log, migrations: all.slice(0, done) });
        await fresh.query(sql);
        await migrate(fresh, { log, migrations: all });
        const { rows } = await fresh.query('select pg_get_viewdef($1::regclass) as is', [`exposure_stream.${view}`]);
        expect(rows[0].is, `${view} after ${all[done - 1].name}`).toContain(is);
        await fresh.end();
      }
    }
  });

  it('need no superuser: the owner of a database is enough', async () => {
    const fresh = new URL(await freshDatabase(databaseUrl));
    const name = fresh.pathname.slice(1);
    const admin = openPool(databaseUrl, 1);
    await admin.query(`create role "${name}" login password 'x'; alter database "${name}" owner to "${name}"`);
    await admin.end();
    Object.assign(fresh, { username: name, password: 'x' });
    expect((await migrate(fresh.href, { log })).already).toBe(0);
    const owner = openPool(fresh.href, 1);
    const sink = new PostgresTotals(owner);
    expect(await sink.flush(batchOf([spendRow('c', Math.floor(clock.now().wallMs / HOUR_MS))]))).toBe('written');
    await sink.close();
  });
});
