import { startPostgres, startRedis, type TestPostgres, type TestRedis } from '@rowsmith/testkit';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type QueueBackend, queueName } from './backend.js';
import { createWakeConsumer } from './wake-consumer.js';
import { createWakeQueue } from './wake-queue.js';

let postgres: TestPostgres;
let redis: TestRedis;
beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
});
afterAll(async () => {
  await Promise.all([postgres.stop(), redis.stop()]);
});
/** Gives the lock on a message to somebody else, as a second worker does after a stall. */
async function stealLock(backend: QueueBackend, messageId: string): Promise<void> {
  if ('redisUrl' in backend) {
    const client = new Redis(backend.redisUrl);
    await client.set(`bull:${queueName('cpu')}:${messageId}:lock`, 'somebody else');
    client.disconnect();
    return;
  }
  const client = new pg.Client({ connectionString: backend.databaseUrl });
  await client.connect();
  await client.query(`UPDATE bullmq.job SET lock_token = 'somebody else' WHERE id = $1`, [messageId]);
  await client.end();
}
const timing = { lockMs: 1_500, stalledEveryMs: 1_000, drainSeconds: 1, clockEveryMs: 200 };

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

  test('a lost lock aborts the handler', async () => {
    const backend = await open();
    const queue = await createWakeQueue(backend);
    let lost: (reason: unknown) => void = () => undefined;
    const reason = new Promise<unknown>((done) => {
      lost = done;
    });
    const handle = async (_jobId: string, signal: AbortSignal) => {
      const aborted = new Promise<void>((end) => signal.addEventListener('abort', () => end()));
      await stealLock(backend, 'ftjob-locked-1');
      await aborted;
      lost(signal.reason);
    };
    const consumer = await createWakeConsumer(backend, handle, { timing });
    await queue.wake('ftjob-locked', 1);
    expect(await reason).toMatchObject({ message: 'the lock on the wake-up was lost' });
    await consumer.close(true);
    await queue.close();
  });

  test('what a worker leaves behind comes again; a failed message frees its number', async () => {
    const backend = await open();
    const queue = await createWakeQueue(backend);
    const short = { lockMs: 400, stalledEveryMs: 300, drainSeconds: 1, clockEveryMs: 200 };
    let took: () => void = () => undefined;
    let release: () => void = () => undefined;
    const taken = new Promise<void>((done) => {
      took = done;
    });
    const hang = () =>
      new Promise<void>((end) => {
        release = end;
        took();
      });
    const dying = await createWakeConsumer(backend, hang, { timing: short });
    await queue.wake('ftjob-left', 1);
    await taken;
    await dying.close(true);

    let calls = 0;
    const handle = async () => {
      if (++calls === 1) throw new Error('the database is away');
    };
    const next = await createWakeConsumer(backend, handle, { timing: short });
    // As the control loop does while the job is queued: announced under the same number until somebody has it.
    while (calls < 2) {
      if (calls === 1) await queue.wake('ftjob-left', 1);
      await new Promise((turn) => setTimeout(turn, 20));
    }
    release();
    await next.close();
    await queue.close();
  });
});
