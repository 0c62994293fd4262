import type { Pool } from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { lookAtGuardrails } from '../../reconcile/guardrail-run.ts';
import { migrate } from '../../src/sinks/migrations.ts';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { describeIntegration, freshDatabase } from '../services/integration.ts';

const DAY = "timestamptz '2026-03-02 00:00:00+00'";
const ALPHAS = { violated: 0.001, warning: 0.05 };

describeIntegration('an experiment in the reference tables', ({ databaseUrl }) => {
  let pool: Pool;
  const rowsOf = async (text: string): Promise<unknown[]> => (await pool.query({ text, rowMode: 'array' })).rows;
  const run = (text: string) => pool.query(text.replaceAll('DAY', DAY));

  beforeAll(async () => {
    const url = await freshDatabase(databaseUrl);
    await migrate(url, { log: pino({ level: 'silent' }) });
    pool = openPool(url);
    // 400 units by turns in a and b; u1 is corrected from b to a; a tenth is never exposed; u3 met both; u5 was never assigned.
    await run(`
      insert into exposure_stream.experiment (experiment_id) values ('e'), ('other');
      insert into exposure_stream.variant values ('e', 'a', 0), ('e', 'b', 1);
      insert into exposure_stream.allocation (experiment_id, variant_id, share, valid_from) values ('e', 'a', .5, DAY), ('e', 'b', .5, DAY);
      insert into exposure_stream.experiment_assignment (experiment_id, unit_id, variant_id, assigned_at)
        select 'e', 'u' || i, case i % 2 when 0 then 'a' else 'b' end, DAY from generate_series(0, 399) i where i <> 5;
      update exposure_stream.experiment_assignment set active = false, deactivated_at = DAY where unit_id = 'u1';
      insert into exposure_stream.experiment_assignment (experiment_id, unit_id, variant_id, assigned_at) values ('e', 'u1', 'a', DAY);
      insert into exposure_stream.experiment_exposure (event_id, experiment_id, unit_id, variant_id, event_ts)
        select 'x' || i, 'e', 'u' || i, case i % 2 when 0 then 'a' else 'b' end, DAY + i * interval '1 minute' from generate_series(0, 399) i where i % 10 <> 9;
      insert into exposure_stream.experiment_exposure (event_id, experiment_id, unit_id, variant_id, event_ts) values ('again', 'e', 'u3', 'a', DAY + interval '1 day');
      insert into exposure_stream.experiment_outcome (event_id, experiment_id, unit_id, metric, value, event_ts)
        select 'o' || i, 'e', 'u' || i, 'bought', 2, DAY + interval '2 day' from generate_series(0, 399, 4) i;
      insert into exposure_stream.experiment_outcome (event_id, experiment_id, unit_id, metric, value, event_ts)
        values ('before', 'e', 'u2', 'bought', 2, DAY - interval '1 hour'), ('late', 'e', 'u2', 'bought', 2, DAY + interval '8 day')`);
  });
  afterAll(() => pool?.end());

  it('is counted by intention to treat: everybody assigned, then who was exposed', async () => {
    expect(
      await rowsOf("select * from exposure_stream.experiment_intention_to_treat where experiment_id = 'e' order by variant_id"),
    ).toEqual([
      ['e', 1, 'a', '201', '201', '200'],
      ['e', 1, 'b', '198', '158', '158'],
    ]);
    expect(
      await rowsOf("select variant_id, units from exposure_stream.experiment_exposed_units where experiment_id = 'e' order by 1"),
    ).toEqual([
      ['a', '200'],
      ['b', '160'],
    ]);
  });

  it('has outcomes after assignment and within the window, over all that were assigned', async () => {
    expect(await rowsOf("select * from exposure_stream.outcomes_within('e', interval '7 days')")).toEqual([
      ['a', 'bought', '201', '100', '100', 200, 200 / 201],
    ]);
    expect(await rowsOf("select units, events from exposure_stream.outcomes_within('e', interval '9 days')")).toEqual([['101', '101']]);
  });

  it('has its split by day, units in two variants, exposures without assignment, and the lag between both', async () => {
    const [srm] = (await rowsOf(
      "select units, chi_squared, degrees_of_freedom from exposure_stream.experiment_srm_by_day where experiment_id = 'e'",
    )) as [string, number, string][];
    expect([srm[0], srm[2]]).toEqual(['360', '1']);
    expect(srm[1]).toBeCloseTo((200 - 180) ** 2 / 180 + (160 - 180) ** 2 / 180, 9);
    expect(await rowsOf("select unit_id, variants from exposure_stream.experiment_cross_variant_units where experiment_id = 'e'")).toEqual([
      ['u3', ['a', 'b']],
    ]);
    expect(
      await rowsOf(
        "select unit_id, exposed_to, assigned_to from exposure_stream.experiment_unassigned_exposures where experiment_id = 'e' order by 1",
      ),
    ).toEqual([
      ['u1', 'b', 'a'],
      ['u5', 'b', null],
    ]);
    expect(
      await rowsOf(
        "select variant_id, units, lag_seconds[1]::integer, exposed_before_assigned from exposure_stream.experiment_assignment_lag where experiment_id = 'e' order by 1",
      ),
    ).toEqual([
      ['a', '200', 199 * 60, '0'],
      ['b', '159', expect.any(Number), '0'],
    ]);
  });

  it('is paused when a guardrail is violated, unless it opts out; each look is written down', async () => {
    await run(`insert into exposure_stream.guardrail (experiment_id, metric, direction, tolerance) values ('e', 'crash', 'increase', .1);
      insert into exposure_stream.experiment_outcome (event_id, experiment_id, unit_id, metric, event_ts)
        select 'early' || i, 'e', 'u' || i, 'crash', DAY + interval '1 day' from generate_series(0, 20) i where i % 10 <> 9`);
    const options = { runId: 'r1', alphas: ALPHAS, nowMs: 1000 };
    expect(await lookAtGuardrails(pool, options)).toMatchObject([
      { variantId: 'b', verdict: 'PASS', paused: false, control: { units: 200, events: 11 } },
    ]);
    await run(`insert into exposure_stream.experiment_outcome (event_id, experiment_id, unit_id, metric, event_ts)
      select 'crash' || i, 'e', 'u' || i, 'crash', DAY + interval '1 day' from generate_series(101, 399, 2) i where i % 10 <> 9;
      update exposure_stream.guardrail set auto_pause = false`);
    expect(await lookAtGuardrails(pool, options)).toMatchObject([{ verdict: 'VIOLATED', paused: false, arm: { events: 128 } }]);
    expect(await rowsOf('select status from exposure_stream.experiment order by 1')).toEqual([['running'], ['running']]);
    await run('update exposure_stream.guardrail set auto_pause = true');
    expect(await lookAtGuardrails(pool, options)).toMatchObject([{ verdict: 'VIOLATED', paused: true }]);
    expect(await rowsOf('select experiment_id, status from exposure_stream.experiment order by 1')).toEqual([
      ['e', 'paused'],
      ['other', 'running'],
    ]);
    expect(await lookAtGuardrails(pool, options)).toEqual([]);
    expect(await rowsOf('select verdict, paused, events from exposure_stream.guardrail_result order by looked_at')).toEqual([
      ['PASS', false, '8'],
      ['VIOLATED', false, '128'],
      ['VIOLATED', true, '128'],
    ]);
  });
});
