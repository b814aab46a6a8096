import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { absent, broken, type Finding, isFailure, ok } from './finding.js';
import { textReport } from './report.js';
import { reachable } from './services.js';
import { isNodeNewEnough } from './tools.js';

const server = createServer((socket) => socket.end());
let port = 0;
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  port = address.port;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

/** Nobody listens on the port of a server that was closed. */
async function closedPort(): Promise<number> {
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
  const address = closed.address();
  await new Promise((resolve) => closed.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

test('a service that answers, one that does not, and a malformed address', async () => {
  expect(await reachable('Redis', 'REDIS_URL', `redis://user:hunter2@127.0.0.1:${port}/0`, 6379)).toMatchObject({ state: 'ok' });
  const refused = await reachable('Postgres', 'DATABASE_URL', `postgres://u:hunter2@127.0.0.1:${await closedPort()}/db`, 5432);
  expect(refused).toMatchObject({ state: 'broken', needed: true });
  expect(JSON.stringify(refused)).not.toContain('hunter2');
  expect(await reachable('Redis', 'REDIS_URL', 'hunter2', 6379)).toMatchObject({ state: 'broken', detail: 'REDIS_URL is not a URL' });
});

test('only what is needed and broken fails, and the report names its repair', () => {
  const findings: Finding[] = [ok('CPU', 'fast'), absent('GPU', 'none'), broken('Disk', 'full', 'free some space')];
  expect(findings.map(isFailure)).toEqual([false, false, true]);
  const report = textReport(findings);
  expect(report).toContain('✗ Disk');
  expect(report).toContain('repair: free some space');
  expect(report).toContain('Broken: Disk.');
});

test('the lowest Node.js is 20.19', () => {
  expect(['18.20.4', '20.18.3', '20.19.0', '22.0.0', '24.1.0'].map(isNodeNewEnough)).toEqual([false, false, true, true, true]);
});

test('the program tells what it found, and exits 1 when a needed service is away', async () => {
  const program = join(import.meta.dirname, '..', '..', 'dist', 'doctor.js');
  const run = (env: Record<string, string>, ...args: string[]) =>
    spawnSync(process.execPath, [program, ...args], { env: { ...process.env, ...env }, encoding: 'utf8' });
  const found = run({ DATABASE_URL: `postgres://127.0.0.1:${port}/x` }, '--json');
  const report = JSON.parse(found.stdout) as { ok: boolean; findings: { name: string; state: string; detail: string }[] };
  expect(report.findings.find((f) => f.name === 'TensorFlow')).toMatchObject({ state: 'ok', detail: expect.stringContaining('2.18.1') });
  expect(found.status).toBe(report.ok ? 0 : 1);
  expect(report.ok).toBe(true);

  const away = run({ DATABASE_URL: `postgres://127.0.0.1:${await closedPort()}/x` });
  expect(away.status).toBe(1);
  expect(away.stdout).toContain('Broken: Postgres.');
  expect(run({}, '--nonsense').status).toBe(2);
}, 30_000);
