/** A consumer that is closed while its server is away ends once its handler has ended: a worker that was told to stop stops. */
import { type FaultProxy, startFaultProxy, startPostgres, startRedis, type TestPostgres, type TestRedis } from '@rowsmith/testkit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { QueueBackend } from './backend.js';
import { createWakeConsumer } from './wake-consumer.js';
import { createWakeQueue } from './wake-queue.js';

let postgres: TestPostgres;
let redis: TestRedis;
let proxy: FaultProxy | undefined;
beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
});
afterEach(() => proxy?.stop());
afterAll(() => Promise.all([postgres.stop(), redis.stop()]));

const backends: readonly (readonly [string, () => Promise<string>, (url: string) => QueueBackend])[] = [
  ['redis', async () => redis.url, (redisUrl) => ({ redisUrl })],
  ['postgres', () => postgres.createDatabase(), (databaseUrl) => ({ databaseUrl })],
];

test.each(backends)('on %s', async (_name, urlOf, backendOf) => {
  const direct = await urlOf();
  const way = await startFaultProxy(Number(new URL(direct).port));
  proxy = way;
  const through = new URL(direct);
  through.port = String(way.port);
  const queue = await createWakeQueue(backendOf(direct));
  let begin: () => void = () => undefined;
  let finish: () => void = () => undefined;
  const begun = new Promise<void>((done) => {
    begin = done;
  });
  const finished = new Promise<void>((done) => {
    finish = done;
  });
  let ended = false;
  const consumer = await createWakeConsumer(backendOf(through.toString()), async () => {
    begin();
    await finished;
    ended = true;
  });
  await queue.wake('ftjob-1', 1);
  await begun;
  way.refuse(true);
  way.cutAll();
  const closing = consumer.close();
  finish();
  await closing;
  expect(ended).toBe(true);
  await queue.close();
});
