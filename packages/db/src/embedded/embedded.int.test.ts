import { chmod, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@rowsmith/testkit';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './index.js';

let folder = '';
let server: EmbeddedPostgres | null = null;
beforeAll(async () => {
  // As in root's home: the server's own user may not enter it.
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-embedded-'));
  await chmod(folder, 0o700);
});
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});
const start = async () => {
  const lines: string[] = [];
  server = await startEmbeddedPostgres({ dataDir: join(folder, 'pg'), port: await freePort(), log: (line) => lines.push(line) });
  return { ...server, lines };
};
const query = async (url: string, sql: string) => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
};

test('started, adopted, killed, recovered and stopped: one server at a time, nothing acknowledged is lost', async () => {
  const first = await start();
  await query(first.url, 'CREATE TABLE kept (x int); INSERT INTO kept VALUES (1)');
  expect(await query(first.url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
  expect((await stat(join(folder, 'pg.password'))).mode & 0o777).toBe(0o600);
  expect((await readdir(folder)).sort()).toEqual(['pg', 'pg.password']);

  // Its owner is gone, another comes, with another port in mind.
  const adopted = await start();
  expect([adopted.pid, adopted.port]).toEqual([first.pid, first.port]);

  // A backend in a long query does not notice that its postmaster dies, and holds the shared memory.
  const busy = new pg.Client({ connectionString: first.url });
  busy.on('error', () => undefined);
  await busy.connect();
  const long = busy.query('SELECT count(*) FROM generate_series(1, 1000000000)').catch((error: unknown) => error);
  while (
    (await query(first.url, "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%generate_series(1%' AND pid <> pg_backend_pid()")).length < 1
  );
  process.kill(first.pid, 'SIGKILL');
  const recovered = await start();
  expect(recovered.pid).not.toBe(first.pid);
  expect(await query(recovered.url, 'SELECT x FROM kept')).toEqual([{ x: 1 }]);
  expect(await long).toBeInstanceOf(Error);

  await recovered.stop();
  await expect(readFile(join(folder, 'pg', 'postmaster.pid'))).rejects.toThrow(/ENOENT/);
  await expect(query(recovered.url, 'SELECT 1')).rejects.toThrow(/ECONNREFUSED/);
});

test('a wrong password is refused, also from this machine', async () => {
  const running = await start();
  await expect(query(running.url.replace(/:[0-9a-f]{48}@/, ':wrong@'), 'SELECT 1')).rejects.toThrow(/password authentication failed/);
});

test('a server that cannot start says why', async () => {
  await server?.stop();
  const failing = startEmbeddedPostgres({
    ...{ dataDir: join(folder, 'pg'), port: 1, log: () => undefined, settings: { shared_buffers: 'nonsense' } },
  });
  await expect(failing).rejects.toThrow(/did not start[\s\S]*shared_buffers/);
});
