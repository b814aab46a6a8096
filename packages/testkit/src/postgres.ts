/** Real Postgres for tests: one server per test file's process, databases cloned from a migrated template. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrateDatabase } from '@rowsmith/db';
import { startEmbeddedPostgres } from '@rowsmith/db/embedded';
import { migrateQueue } from '@rowsmith/queue';
import pg from 'pg';

export interface TestPostgres {
  /** URL of a fresh database with the tables and the queue's schema. */
  createDatabase(): Promise<string>;
  readonly pid: number;
  stop(): Promise<void>;
}

export function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** fsync is off: these databases live for seconds and are thrown away. */
export async function startPostgres(): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'rowsmith-pg-'));
  const server = await startEmbeddedPostgres({
    dataDir: join(folder, 'data'),
    port: await freePort(),
    log: () => undefined,
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' },
  });
  await migrateDatabase(server.url);
  await migrateQueue({ databaseUrl: server.url });
  const admin = new pg.Client({ connectionString: server.url.replace(/\/rowsmith$/, '/postgres') });
  await admin.connect();
  let count = 0;
  return {
    pid: server.pid,
    async createDatabase() {
      const name = `test_${++count}`;
      await admin.query(`CREATE DATABASE ${name} TEMPLATE rowsmith`);
      return server.url.replace(/\/rowsmith$/, `/${name}`);
    },
    async stop() {
      await admin.end();
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Statements of a file, one after the other, in one transaction. */
export async function runSql(databaseUrl: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
