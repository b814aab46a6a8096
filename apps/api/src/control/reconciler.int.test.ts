/** The loop over real tables, queues and objects, on both backends of the queue: what is lost comes back, what nobody needs goes. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FileId, type JobSpec, newId, type ProjectId } from '@rowsmith/contracts';
import {
  createApiKeyStore,
  createAttemptStore,
  createDispatchStore,
  createFileStore,
  createJobStore,
  createReferenceStore,
  createWorkerStore,
  type Database,
  type LeadingDispatchStore,
  openDatabase,
} from '@rowsmith/db';
import { createWakeConsumer, createWakeQueue, type QueueBackend } from '@rowsmith/queue';
import { openObjectStore } from '@rowsmith/storage';
import { startPostgres, startRedis, type TestPostgres, type TestRedis } from '@rowsmith/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { startControlLoop } from './control-loop.js';
import { collectGarbage } from './garbage.js';

let postgres: TestPostgres;
let redis: TestRedis;
let folder = '';
let database: Database;
let dispatch: LeadingDispatchStore;
let url = '';
let projectId: ProjectId;
let file: FileId;
beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
});
afterAll(async () => {
  await Promise.all([postgres.stop(), redis.stop()]);
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-reconciler-'));
  url = await postgres.createDatabase();
  database = openDatabase(url);
  dispatch = createDispatchStore(database, url);
  projectId = (await createApiKeyStore(database).ensure({ hash: 'h', last4: '1234', name: 'test' })).projectId;
  file = newId('file', randomBytes);
  await createFileStore(database).insert({
    ...{ id: file, projectId, filename: 'a', purpose: 'fine-tune', bytes: 3, sha256: 's', key: `files/${projectId}/${file}` },
    ...{ examples: 1, findings: null, lifeSeconds: null },
  });
});
afterEach(async () => {
  await dispatch.close();
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

async function createJob() {
  const created = await createJobStore(database).create({
    ...{ id: newId('job', randomBytes), projectId, model: 'm', suffix: null, seed: 1, metadata: null, trainingFile: file },
    ...{ validationFile: null, hyperparameters: { n_epochs: 1, batch_size: 1, learning_rate_multiplier: 1 }, totalSteps: 4 },
    ...{ rowSparse: {} as JobSpec['row_sparse'], spec: {} as JobSpec },
    ...{ priority: 50, deviceClass: null, maxDurationSeconds: null, request: { model: 'm', training_file: file }, autoStart: true },
  });
  if (typeof created === 'string') throw new Error(created);
  return created.job.id;
}
const openStore = () => openObjectStore({ driver: 'fs', root: join(folder, 'objects') });
const patience = { timeout: 20_000, interval: 20 };
const timing = { lockMs: 1_500, stalledEveryMs: 1_000, drainSeconds: 1, clockEveryMs: 5_000 };

describe.each<[string, () => QueueBackend]>([
  ['postgres', () => ({ databaseUrl: url })],
  ['redis', () => ({ redisUrl: redis.url })],
])('%s', (_name, backendOf) => {
  const startLoop = async (staleMs: number) => {
    const queue = await createWakeQueue(backendOf());
    const stores = { files: createFileStore(database), jobs: createJobStore(database), objects: await openStore() };
    const log = { warn: () => undefined, info: () => undefined };
    const loop = startControlLoop({ ...stores, dispatch, queue, tidy: async () => undefined, log }, { everyMs: 50, staleMs });
    return async () => {
      await loop.stop();
      await queue.close();
    };
  };
  /** Everything BullMQ knows, as FLUSHALL or a lost disk does it. */
  const wipe = async () => {
    const backend = backendOf();
    if ('redisUrl' in backend) await redis.flush();
    else await database.prisma.$executeRaw`TRUNCATE bullmq.job, bullmq.meta, bullmq.event CASCADE`;
  };
  const wokenIn = async (id: string) => {
    const seen: string[] = [];
    const consumer = await createWakeConsumer(backendOf(), async (jobId) => void seen.push(jobId), { timing });
    await vi.waitFor(() => expect(seen).toContain(id), patience);
    await consumer.close();
  };
  const waits = async (id: string) =>
    vi.waitFor(async () => expect((await dispatch.waiting(10)).map((w) => w.jobId)).toContain(id), patience);

  test('guard 6: a queue that lost everything is filled again', async () => {
    const stop = await startLoop(60_000);
    const id = await createJob();
    await waits(id);
    await wipe();
    await wokenIn(id);
    await stop();
  });

  test('guard 6: a job whose worker fell silent is announced under a new number, and its old attempt is fenced off', async () => {
    const stop = await startLoop(1_000);
    const id = await createJob();
    await waits(id);
    const store = createAttemptStore(database);
    const lost = await store.begin(id, newId('worker', randomBytes));
    if (lost === 'not_runnable') throw new Error(lost);
    await vi.waitFor(async () => expect((await createJobStore(database).get(projectId, id))?.status).toBe('queued'), patience);
    await waits(id);
    expect((await dispatch.waiting(10))[0]?.dispatchNo).toBe(2);
    await wokenIn(id);
    expect((await store.heartbeat(id, lost.epoch)).fence).toBe('fenced');
    await stop();
  });

  test('of many jobs only as many are announced as there are places, and one', async () => {
    const worker = { id: newId('worker', randomBytes), deviceClass: 'cpu', slots: 2, version: '1', host: 'h', skewMs: 0 };
    await createWorkerStore(database).beat(worker);
    const ids = [];
    for (let i = 0; i < 6; i++) ids.push(await createJob());
    const stop = await startLoop(60_000);
    await waits(ids[2] as string);
    await stop();
    expect((await dispatch.waiting(10)).map(({ jobId }) => jobId)).toEqual(ids.slice(0, 3));
  });
});

test('garbage goes when it is old; whatever a row needs, and whatever is young, stays', async () => {
  const objects = await openStore();
  const references = createReferenceStore(database);
  const id = await createJob();
  const attempts = createAttemptStore(database);
  const begun = await attempts.begin(id, newId('worker', randomBytes));
  if (begun === 'not_runnable') throw new Error(begun);
  const folderOf = (step: number) => `jobs/${id}/e1/checkpoint-${step}`;
  for (const step of [1, 2]) for (const name of ['rows', 'manifest.json']) await objects.put(`${folderOf(step)}/${name}`, Buffer.from('x'));
  await attempts.checkpoint(id, 1, { step: 1, manifestKey: `${folderOf(1)}/manifest.json`, manifestSha256: 's', metrics: { step: 1 } });
  const kept = [`files/${projectId}/${file}`, 'service/readiness-1'];
  for (const key of [...kept, `files/${projectId}/cut-upload`, 'jobs/ftjob-gone/e1/rows']) await objects.put(key, Buffer.from('x'));
  const keys = async () => {
    const found: string[] = [];
    for await (const { key } of objects.list('')) found.push(key);
    return found.sort();
  };
  const all = await keys();
  expect(await collectGarbage({ objects, references }, { graceMs: 3_600_000 })).toMatchObject({ looked: 7, removed: 0 });
  expect(await keys()).toEqual(all);
  // The attempt is alive: what it wrote and has not recorded stays.
  const needed = all.filter((key) => !key.endsWith('cut-upload') && !key.startsWith('jobs/ftjob-gone'));
  expect(await collectGarbage({ objects, references }, { graceMs: -1_000 })).toMatchObject({ removed: 2 });
  expect(await keys()).toEqual(needed);
  await attempts.handback(id, 1);
  await attempts.begin(id, newId('worker', randomBytes));
  await collectGarbage({ objects, references }, { graceMs: -1_000 });
  const left = needed.filter((key) => !key.startsWith(folderOf(2)));
  expect(await keys()).toEqual(left);
  // What retention said it has deleted is needed by nobody: objects of it that stayed, for a reason of the store, go.
  await attempts.checkpointRemoved(id, 2, `${folderOf(1)}/manifest.json`);
  await collectGarbage({ objects, references }, { graceMs: -1_000 });
  expect(await keys()).toEqual(left.filter((key) => !key.startsWith(folderOf(1))));
});
