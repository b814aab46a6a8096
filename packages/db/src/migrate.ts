/**
 * Applies prisma/migrations without Prisma's engine binary, in the bookkeeping table that `prisma migrate deploy` uses, so that either can go on
 * where the other stopped. A file is one implicit transaction (simple protocol): it is applied whole or not at all.
 */
import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

export class MigrationError extends Error {
  override readonly name = 'MigrationError';
  readonly code = 'migration_failed';
}

const defaultFolder = fileURLToPath(new URL('../../../prisma/migrations/', import.meta.url));
/** The lock that Prisma's own engine takes: two appliers at once wait for each other. */
const lockKey = 72707369;

const table = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ,
  migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ,
  started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)`;

interface AppliedRow {
  readonly migration_name: string;
  readonly checksum: string;
  readonly finished_at: Date | null;
}

/**
 * Returns the names of the migrations it applied. `only`: no others, as if this were the build that had just these.
 * Throws MigrationError when one failed (now or earlier), was edited, or is unknown to this build.
 */
export async function migrateDatabase(
  databaseUrl: string,
  folder: string = defaultFolder,
  only?: ReadonlySet<string>,
): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query('SELECT pg_advisory_lock($1)', [lockKey]);
    await client.query(table);
    return await applyMissing(client, folder, only);
  } finally {
    await client.end();
  }
}

async function applyMissing(client: pg.Client, folder: string, only: ReadonlySet<string> | undefined): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const all = entries.filter((e) => e.isDirectory()).map((e) => e.name);
  const unknown = [...(only ?? [])].find((name) => !all.includes(name));
  if (unknown !== undefined) throw new MigrationError(`This build does not know the migration ${unknown}: it is older.`);
  const names = all.filter((name) => only?.has(name) ?? true);
  const { rows } = await client.query<AppliedRow>(
    'SELECT migration_name, checksum, finished_at FROM _prisma_migrations WHERE rolled_back_at IS NULL',
  );
  const applied = new Map(rows.map((row) => [row.migration_name, row]));
  for (const row of rows) {
    if (row.finished_at === null) {
      throw new MigrationError(
        `The migration ${row.migration_name} failed earlier. Repair the database, then mark the row in _prisma_migrations as rolled back.`,
      );
    }
    if (!names.includes(row.migration_name))
      throw new MigrationError(
        `The database has the migration ${row.migration_name}, which this build does not know: it is ahead of this build.`,
      );
  }
  const done: string[] = [];
  for (const name of names.sort()) {
    const text = await readFile(join(folder, name, 'migration.sql'));
    const checksum = createHash('sha256').update(text).digest('hex');
    const before = applied.get(name);
    if (before) {
      if (before.checksum !== checksum) throw new MigrationError(`The migration ${name} was edited after it had been applied.`);
      continue;
    }
    await applyOne(client, name, text.toString('utf8'), checksum);
    done.push(name);
  }
  return done;
}

async function applyOne(client: pg.Client, name: string, sql: string, checksum: string): Promise<void> {
  const id = randomUUID();
  await client.query('INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ($1, $2, $3)', [id, checksum, name]);
  try {
    await client.query(sql);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await client.query('UPDATE _prisma_migrations SET logs = $2 WHERE id = $1', [id, reason]);
    throw new MigrationError(`The migration ${name} failed and was rolled back: ${reason}`, { cause: error });
  }
  await client.query('UPDATE _prisma_migrations SET finished_at = now(), applied_steps_count = 1 WHERE id = $1', [id]);
}
