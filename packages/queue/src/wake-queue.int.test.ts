import { startPostgres, startRedis, type TestPostgres, type TestRedis } from '@rowsmith/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { QueueBackend } from './backend.js';
import { createWakeConsumer, createWakeQueue } from './wake-queue.js';

let postgres: TestPostgres;
let redis: TestRedis;
beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
});
afterAll(async () => {
  await Promise.all([postgres.stop(), redis.stop()]);
});
const timing = { lockMs: 1_500, stalledEveryMs: 1_000, drainSeconds: 1 };

describe.each<[string, () => Promise<QueueBackend>]>([
  ['postgres', async () => ({ databaseUrl: await postgres.createDatabase() })],
  ['redis', async () => ({ redisUrl: redis.url })],
])('%s', (_name, open) => {
  test('a wake-up reaches one of two workers, once; after it the same number can be announced again', async () => {
    const backend = await open();
    const queue = await createWakeQueue(backend);
    const seen: string[] = [];
    const waiting = new Map<string, () => void>();
    const handled = (jobId: string) => new Promise<void>((done) => waiting.set(jobId, done));
    const handle = async (jobId: string) => {
      seen.push(jobId);
      waiting.get(jobId)?.();
    };
    const consumers = await Promise.all([1, 2].map(() => createWakeConsumer(backend, handle, { timing })));
    expect(await queue.ready()).toBe(true);
    const first = handled('ftjob-a');
    await queue.wake('ftjob-a', 1);
    await first;
    const other = handled('ftjob-b');
    await queue.wake('ftjob-b', 1);
    await other;
    expect(seen).toEqual(['ftjob-a', 'ftjob-b']);
    await Promise.all(consumers.map((c) => c.close()));
    // Announced while nobody listens: five times the same number is one message, and a new consumer gets it.
    await Promise.all(Array.from({ length: 5 }, () => queue.wake('ftjob-a', 1)));
    const again = handled('ftjob-a');
    const late = handled('ftjob-c');
    await queue.wake('ftjob-c', 1);
    const consumer = await createWakeConsumer(backend, handle, { timing });
    await Promise.all([again, late]);
    expect(seen.slice(2).sort()).toEqual(['ftjob-a', 'ftjob-c']);
    await consumer.close();
    await queue.close();
  });
});

test('a backend that comes late is waited for, and one that never comes ends with the signal', async () => {
  const gone = createWakeQueue({ databaseUrl: 'postgresql://nobody@127.0.0.1:1/none' }, { signal: AbortSignal.timeout(700) });
  await expect(gone).rejects.toThrow(/timeout/i);
});
