import { randomBytes } from 'node:crypto';
import { Client } from 'pg';

/** A name nobody else uses: for topics, groups, key prefixes. */
export const uniqueName = (start: string): string => `${start}-${randomBytes(5).toString('hex')}`;

/** A new empty database on that Postgres; resolves to its URL. It ends with the server, or stays on a given one. */
export async function freshDatabase(databaseUrl: string): Promise<string> {
  const name = uniqueName('test').replace('-', '_');
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(`create database ${name}`);
  } finally {
    await client.end();
  }
  const url = new URL(databaseUrl);
  url.pathname = `/${name}`;
  return url.href;
}
