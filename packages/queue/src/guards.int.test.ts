/** What keeps the service whole where BullMQ alone does not; each test fails without its guard (README). */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, startFaultProxy, startPostgres, startRedis, type TestPostgres, type TestRedis } from '@rowsmith/testkit';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openQueue, type QueueBackend, QueueUnavailableError, queueName, untilReady } from './backend.js';
import { type ClockSkewError, clockSkew } from './clock.js';
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
const timing = { lockMs: 1_500, stalledEveryMs: 1_000, drainSeconds: 1, clockEveryMs: 100 };
/** The message's arrival, awaited from outside. */
function arrival() {
  const seen: string[] = [];
  let came = () => {};
  const first = new Promise<void>((done) => {
    came = done;
  });
  return {
    seen,
    first,
    async handle(jobId: string) {
      seen.push(jobId);
      came();
    },
  };
}
const elsewhere = (backend: QueueBackend, port: number): QueueBackend => {
  const url = new URL('redisUrl' in backend ? backend.redisUrl : backend.databaseUrl);
  url.port = String(port);
  return 'redisUrl' in backend ? { redisUrl: url.href } : { databaseUrl: url.href };
};
const portOf = (backend: QueueBackend) => Number(new URL('redisUrl' in backend ? backend.redisUrl : backend.databaseUrl).port);

describe.each<[string, () => Promise<QueueBackend>]>([
  ['postgres', async () => ({ databaseUrl: await postgres.createDatabase() })],
  ['redis', async () => ({ redisUrl: redis.url })],
])('%s', (_name, open) => {
  test('guard 1: queue and consumer that start before their server work once it is there', async () => {
    const backend = await open();
    const port = await freePort();
    const late = elsewhere(backend, port);
    const { handle, first } = arrival();
    const starting = Promise.all([createWakeQueue(late), createWakeConsumer(late, handle, { timing, deviceClass: 'late' })]);
    // It has been refused at least once by now: this connection is, and theirs began before it.
    await expect(clockSkew(late, Date.now)).rejects.toThrow();
    const server = await startFaultProxy(portOf(backend), port);
    const [queue, consumer] = await starting;
    await queue.wake('ftjob-late', 1, { deviceClasses: ['late'] });
    await first;
    await consumer.close();
    await queue.close();
    await server.stop();
  });

  test('guard 1: a server that goes away between the first look and the queue’s own is waited for', async () => {
    const backend = await open();
    const server = await startFaultProxy(portOf(backend));
    const late = elsewhere(backend, server.port);
    let made = 0;
    const make = () => {
      const queue = openQueue(late, queueName('between'), () => undefined);
      made += 1;
      if (made > 1) return queue;
      const waitUntilReady = async () => {
        server.refuse(true);
        const ready = queue.waitUntilReady();
        ready.catch(() => undefined);
        // Refused by now: its connection began before this one.
        await expect(clockSkew(late, Date.now)).rejects.toThrow();
        server.refuse(false);
        await ready;
      };
      return { ...queue, waitUntilReady };
    };
    const queue = await untilReady(late, AbortSignal.timeout(30_000), make, (broken) => broken.close());
    await queue.add('ftjob-between', { jobId: 'between-1', priority: 50, removeOnComplete: true, removeOnFail: true });
    expect(await queue.countWaiting()).toBe(1);
    // Redis' client connects again by itself; what BullMQ made on Postgres is of no use any more.
    expect(made).toBe('redisUrl' in backend ? 1 : 2);
    await queue.close();
    await server.stop();
  });

  test('guard 2: a clock that is wrong is refused at the start', async () => {
    const backend = await open();
    const begin = (offset: number) => createWakeConsumer(backend, async () => {}, { timing, clock: () => Date.now() + offset });
    await expect(begin(600_000)).rejects.toMatchObject({ name: 'ClockSkewError', message: expect.stringMatching(/600\.\d s ahead/) });
    await expect(begin(-600_000)).rejects.toMatchObject({ message: expect.stringMatching(/behind/) });
    await (await begin(0)).close();
  });

  test('guard 2: an answer that is late proves nothing about the clock', async () => {
    const backend = await open();
    const proxy = await startFaultProxy(portOf(backend));
    const slow = elsewhere(backend, proxy.port);
    proxy.delay(100);
    // Half of the time of connection and answer was once taken for a skew.
    for (const offset of [0, 80, -80]) expect(await clockSkew(slow, () => Date.now() + offset)).toBe(0);
    expect(await clockSkew(slow, () => Date.now() + 3_000)).toBeGreaterThan(2_000);
    expect(await clockSkew(slow, () => Date.now() - 3_000)).toBeLessThan(-2_000);
    await proxy.stop();
  });

  test('guard 2: a clock that goes wrong stops the taking of messages, and goes on when it is right again', async () => {
    const backend = await open();
    const queue = await createWakeQueue(backend);
    let offset = 0;
    let looked: () => void = () => undefined;
    const clock = () => {
      looked();
      return Date.now() + offset;
    };
    const { handle, first, seen } = arrival();
    const consumer = await createWakeConsumer(backend, handle, { timing, clock, deviceClass: 'drifting' });
    offset = 3_000;
    // A look begins only when the one before has acted.
    const looks = async (count: number) => {
      for (let look = 0; look < count; look++) {
        await new Promise<void>((done) => {
          looked = done;
        });
      }
    };
    await looks(3);
    await queue.wake('ftjob-drift', 1, { deviceClasses: ['drifting'] });
    await looks(5);
    expect(seen).toEqual([]);
    offset = 0;
    await looks(3);
    // As the control loop does while the job waits.
    await queue.wake('ftjob-drift', 1, { deviceClasses: ['drifting'] });
    await first;
    await consumer.close();
    await queue.close();
  });

  test('guard 2: a clock that jumps far aborts what is in hand and ends the consumer', async () => {
    const backend = await open();
    const queue = await createWakeQueue(backend);
    let offset = 0;
    let ended: (error: ClockSkewError) => void = () => undefined;
    const skewed = new Promise<ClockSkewError>((done) => {
      ended = done;
    });
    const aborted = new Promise<unknown>((done) => {
      const handle = async (_jobId: string, signal: AbortSignal) => {
        offset = 600_000;
        await new Promise<void>((end) => signal.addEventListener('abort', () => end()));
        done(signal.reason);
      };
      const options = { timing, clock: () => Date.now() + offset, deviceClass: 'jumping', onSkew: ended };
      void createWakeConsumer(backend, handle, options).then(() => queue.wake('ftjob-jump', 1, { deviceClasses: ['jumping'] }));
    });
    expect(await aborted).toMatchObject({ name: 'ClockSkewError' });
    expect((await skewed).skewMs).toBeGreaterThan(599_000);
    await queue.close();
  });

  test('guard 3: what a clock that was ahead left behind does not keep a dead worker’s message from coming again', async () => {
    const backend = await open();
    const queue = await createWakeQueue(backend);
    const short = { ...timing, lockMs: 400, stalledEveryMs: 300 };
    let took: () => void = () => undefined;
    const taken = new Promise<void>((done) => {
      took = done;
    });
    const dying = await createWakeConsumer(backend, () => new Promise<void>(() => took()), { timing: short, deviceClass: 'poisoned' });
    await queue.wake('ftjob-poisoned', 1, { deviceClasses: ['poisoned'] });
    await taken;
    await dying.close(true);
    if ('databaseUrl' in backend) {
      const client = new pg.Client({ connectionString: backend.databaseUrl });
      await client.connect();
      const ahead = String(Date.now() + 600_000);
      await client.query(
        `INSERT INTO bullmq.meta (queue, field, value) VALUES ($1, 'stalled-check', $2) ON CONFLICT (queue, field) DO UPDATE SET value = $2`,
        [queueName('poisoned'), ahead],
      );
      await client.end();
    }
    expect(await queue.repair()).toBe('databaseUrl' in backend ? 1 : 0);
    expect(await queue.repair()).toBe(0);
    const { handle, first } = arrival();
    const next = await createWakeConsumer(backend, handle, { timing: short, deviceClass: 'poisoned' });
    await first;
    await next.close();
    await queue.close();
  });

  test('messages reach the workers of their device class, the urgent ones first', async () => {
    const backend = await open();
    const queue = await createWakeQueue(backend);
    await queue.wake('ftjob-other', 1, { deviceClasses: ['class-a'], priority: 100 });
    await queue.wake('ftjob-low', 1, { deviceClasses: ['class-b'], priority: 10 });
    await queue.wake('ftjob-usual', 1, { deviceClasses: ['class-b'] });
    await queue.wake('ftjob-urgent', 1, { deviceClasses: ['class-b'], priority: 90 });
    const seen: string[] = [];
    let all: () => void = () => undefined;
    const done = new Promise<void>((end) => {
      all = end;
    });
    const handle = async (jobId: string) => {
      if (seen.push(jobId) === 3) all();
    };
    const consumer = await createWakeConsumer(backend, handle, { timing, deviceClass: 'class-b' });
    await done;
    expect(seen).toEqual(['ftjob-urgent', 'ftjob-usual', 'ftjob-low']);
    await consumer.close();
    await queue.close();
  });
});

test('guard 1: a backend that never comes ends with the signal', async () => {
  const gone = createWakeQueue({ databaseUrl: 'postgresql://nobody@127.0.0.1:1/none' }, { signal: AbortSignal.timeout(700) });
  await expect(gone).rejects.toThrow(QueueUnavailableError);
  await expect(gone).rejects.toThrow(/Postgres did not answer: .*ECONNREFUSED/);
});

test('guard 5: nobody waits for events of BullMQ, some of which never come on Postgres', async () => {
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  const found: string[] = [];
  let files = 0;
  for (const rooms of ['packages', 'apps'])
    for (const room of await readdir(join(root, rooms)))
      for (const name of await readdir(join(root, rooms, room, 'src'), { recursive: true }).catch(() => [])) {
        if (!name.endsWith('.ts') || name.endsWith('.test.ts') || name.startsWith('generated')) continue;
        files += 1;
        const text = await readFile(join(root, rooms, room, 'src', name), 'utf8');
        if (/\bQueueEvents\b|waitUntilFinished/.test(text)) found.push(join(rooms, room, name));
      }
  expect(files).toBeGreaterThan(100);
  expect(found).toEqual([]);
});
