/** On a real server that is killed, comes back, and refuses: only the first two are unavailability. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDatabase } from './database.js';
import { isDatabaseUnavailable } from './database-unavailable.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded/index.js';

let folder: string;
let port: number;
let server: EmbeddedPostgres;
const start = () => startEmbeddedPostgres({ dataDir: join(folder, 'pg'), port, log: () => undefined, settings: { fsync: 'off' } });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-unavailable-'));
  port = await freePort();
  server = await start();
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

test('a killed server is unavailable to queries that run, new ones and transactions; a wrong query is not', async () => {
  const { prisma, close } = openDatabase(server.url);
  const failureOf = (query: Promise<unknown>) =>
    query.then(
      () => null,
      (error: unknown) => error,
    );
  expect(isDatabaseUnavailable(await failureOf(prisma.$queryRaw`SELECT 1 / 0`))).toBe(false);
  expect(isDatabaseUnavailable(await failureOf(prisma.$queryRaw`SELECT nothing FROM nowhere`))).toBe(false);

  const running = failureOf(prisma.$queryRaw`SELECT pg_sleep(600)`);
  const connected = () => prisma.$queryRaw<unknown[]>`SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'`;
  while ((await connected()).length === 0);
  process.kill(server.pid, 'SIGKILL');
  for (const failed of [prisma.$queryRaw`SELECT 1`, prisma.$transaction((tx) => tx.$queryRaw`SELECT 1`), prisma.job.count()].map(
    failureOf,
  )) {
    const error = await failed;
    expect(error).toBeInstanceOf(Error);
    expect(isDatabaseUnavailable(error)).toBe(true);
  }
  // By now every connection of the pool has been lost, and a new one is refused.
  for (const failed of [prisma.$queryRaw`SELECT 1`, prisma.job.count()].map(failureOf))
    expect(isDatabaseUnavailable(await failed)).toBe(true);
  // Also ends what its killed parent left running.
  server = await start();
  expect(isDatabaseUnavailable(await running)).toBe(true);
  await close();
});

test.each([
  ['starting up, as Prisma wraps it', { code: 'P2010', meta: { driverAdapterError: { cause: { originalCode: '57P03' } } } }, true],
  ['a unique key', { code: 'P2002', meta: { driverAdapterError: { cause: { originalCode: '23505' } } } }, false],
  ['no error at all', null, false],
])('%s', (_name, error, unavailable) => {
  expect(isDatabaseUnavailable(error)).toBe(unavailable);
});
