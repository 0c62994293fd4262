import { Client } from 'pg';
import { differences } from './truth.ts';

interface Row {
  name: [string, number, string];
  hour_ms: string;
  amounts: string[];
}

const VIEWS = `
  select json_build_array(campaign_id, 0, ''::text) as name, extract(epoch from hour)::bigint * 1000 as hour_ms,
    array[spend_micros::text, impressions::text] as amounts from exposure_stream.stream_spend_hourly
  union all
  select json_build_array(experiment_id, allocation_version, variant_id), extract(epoch from hour)::bigint * 1000,
    array[units::text] from exposure_stream.stream_exposure_hourly`;

/** What differs between the hourly views and the truth. */
export async function wrongHours(databaseUrl: string, truth: Map<string, number[]>): Promise<string[]> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<Row>(VIEWS);
    const seen = new Map(rows.map(({ name, hour_ms, amounts }) => [JSON.stringify([...name, Number(hour_ms)]), amounts.map(Number)]));
    return differences('hour', seen, truth);
  } finally {
    await client.end();
  }
}
