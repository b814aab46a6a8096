import pg from 'pg';
import { MigrationError, migrateDatabase } from '../migrate.js';
import type { DatabaseDump } from './dump-tables.js';

export class RestoreError extends Error {
  override readonly name = 'RestoreError';
  readonly code = 'restore_refused';
}

const batchLines = 500;
const batchCharacters = 4_000_000;

/**
 * The other way: an empty database is brought to the dump's migrations, filled in one transaction, and then brought up to date, so that migrations which
 * change rows do it here as they did elsewhere. Throws RestoreError when the database is not empty, or the dump is of a newer build; nothing is loaded then.
 */
export async function loadTables(databaseUrl: string, dump: DatabaseDump, read: (table: string) => AsyncIterable<string>): Promise<void> {
  await requireEmptyDatabase(databaseUrl);
  try {
    await load(databaseUrl, dump, read);
  } catch (error) {
    // It was empty, and is again: the next try must not be refused for the rest of this one.
    await run(databaseUrl, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    throw error;
  }
  await migrateDatabase(databaseUrl);
}

async function run(databaseUrl: string, sql: string): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return (await client.query(sql)).rowCount ?? 0;
  } finally {
    await client.end();
  }
}

async function load(databaseUrl: string, dump: DatabaseDump, read: (table: string) => AsyncIterable<string>): Promise<void> {
  try {
    await migrateDatabase(databaseUrl, undefined, new Set(dump.migrations));
  } catch (error) {
    if (error instanceof MigrationError)
      throw new RestoreError(`The backup cannot be loaded by this build. ${error.message}`, { cause: error });
    throw error;
  }
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query("SET TIME ZONE 'UTC'; BEGIN");
    // What migrations put in by themselves is in the dump as well.
    await client.query(`TRUNCATE ${dump.tables.map(({ name }) => pg.escapeIdentifier(name)).join(', ')}`);
    for (const table of dump.tables) {
      const rows = await fill(client, table, read(table.name));
      if (rows !== table.rows)
        throw new RestoreError(`The backup has ${rows} rows of "${table.name}" and says ${table.rows}: it is not whole.`);
    }
    await client.query('COMMIT');
  } finally {
    await client.end();
  }
}

/** Throws RestoreError when there are tables: to be asked before anything else is written. */
export async function requireEmptyDatabase(databaseUrl: string): Promise<void> {
  const tables = await run(databaseUrl, "SELECT 1 FROM pg_tables WHERE schemaname = 'public' LIMIT 1");
  if (tables !== 0) throw new RestoreError('The database has tables already: a backup goes into an empty one only.');
}

async function fill(client: pg.Client, { name, columns }: DatabaseDump['tables'][number], lines: AsyncIterable<string>): Promise<number> {
  const table = pg.escapeIdentifier(name);
  const list = columns.map((column) => pg.escapeIdentifier(column)).join(', ');
  const insert = `INSERT INTO ${table} (${list}) SELECT ${list} FROM json_populate_recordset(NULL::${table}, $1::json)`;
  let rows = 0;
  let batch: string[] = [];
  let characters = 0;
  const flush = async () => {
    if (batch.length > 0) rows += (await client.query(insert, [`[${batch.join(',')}]`])).rowCount ?? 0;
    batch = [];
    characters = 0;
  };
  for await (const line of lines) {
    batch.push(line);
    characters += line.length;
    if (batch.length >= batchLines || characters >= batchCharacters) await flush();
  }
  await flush();
  return rows;
}
