/** Pauses, preemption, the registry of workers, the dispatcher and what is garbage: on a real Postgres. */
import { randomBytes } from 'node:crypto';
import {
  type FileId,
  type JobId,
  type JobSpec,
  type MetricPoint,
  newId,
  type ProjectId,
  scoresKeyOf,
  selectionKeyOf,
  type WorkerId,
} from '@rowsmith/contracts';
import { startPostgres, type TestPostgres } from '@rowsmith/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createApiKeyStore } from './api-key-store.js';
import { createAttemptStore } from './attempt-store.js';
import { type Database, openDatabase } from './database.js';
import { createDispatchStore, type LeadingDispatchStore } from './dispatch-store.js';
import { createFileStore } from './file-store.js';
import { createJobStore } from './job-store.js';
import { createReferenceStore } from './reference-store.js';
import { createWorkerStore } from './worker-store.js';

let postgres: TestPostgres;
let database: Database;
let dispatch: LeadingDispatchStore;
let projectId: ProjectId;
let file: FileId;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  const url = await postgres.createDatabase();
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
});

const worker = () => newId('worker', randomBytes);
async function createJob(spec: Partial<JobSpec> = {}): Promise<JobId> {
  const created = await createJobStore(database).create({
    ...{ id: newId('job', randomBytes), projectId, model: 'm', suffix: null, seed: 1, metadata: null, trainingFile: file },
    ...{ validationFile: null, hyperparameters: { n_epochs: 1, batch_size: 1, learning_rate_multiplier: 1 }, totalSteps: 4 },
    ...{ rowSparse: {} as JobSpec['row_sparse'], spec: spec as JobSpec },
    ...{ priority: 50, deviceClass: null, maxDurationSeconds: null, request: { model: 'm' }, autoStart: true },
  });
  if (typeof created === 'string') throw new Error(created);
  return created.job.id;
}
async function begin(jobId: string, deviceClass = 'cpu', id: WorkerId = worker()) {
  const attempt = await createAttemptStore(database).begin(jobId, id, deviceClass);
  if (attempt === 'not_runnable') throw new Error(attempt);
  return attempt;
}
const status = async (id: string) => (await createJobStore(database).get(projectId, id))?.status;
const outcomes = async (jobId: string) =>
  (await database.prisma.attempt.findMany({ where: { jobId }, orderBy: { epoch: 'asc' } })).map(({ outcome }) => outcome);
const saved = (step: number, manifestKey: string) => ({ step, manifestKey, manifestSha256: 's', metrics: { step } });
const beat = (id: WorkerId, deviceClass: string, slots = 1) =>
  createWorkerStore(database).beat({ id, deviceClass, slots, version: '1', host: 'here', skewMs: 0 });

describe('a pause', () => {
  test('reaches the attempt by its heartbeat, ends it with its place freed, and resume queues the job again', async () => {
    const [store, jobs] = [createAttemptStore(database), createJobStore(database)];
    const id = await createJob();
    const { epoch } = await begin(id);
    await jobs.pause(projectId, id);
    expect((await store.heartbeat(id, epoch)).stop).toBe('pause');
    expect(await store.checkpoint(id, epoch, saved(3, 'k'))).toBe('ok');
    expect(await store.paused(id, epoch)).toBe('ok');
    expect(await status(id)).toBe('paused');
    expect(await outcomes(id)).toEqual(['paused']);
    expect(await store.begin(id, worker())).toBe('not_runnable');
    expect(await store.paused(id, epoch)).toBe('fenced');
    await jobs.resume(projectId, id);
    const next = await begin(id);
    expect([next.epoch, next.checkpoints.map(({ step }) => step)]).toEqual([2, [3]]);
  });

  test.each(['handback', 'lost', 'infra'] as const)('holds when the attempt ends by %s before it could act on it', async (end) => {
    const store = createAttemptStore(database);
    const id = await createJob();
    const me = worker();
    const { epoch } = await begin(id, 'cpu', me);
    await createJobStore(database).pause(projectId, id);
    if (end === 'handback') await store.handback(id, epoch);
    else if (end === 'lost') await store.reclaim(me);
    else await store.fail(id, epoch, { class: 'infra', code: 'disk_full', message: 'm', param: null });
    expect(await status(id)).toBe('paused');
  });

  test('a result that was on its way counts, and a cancel wins', async () => {
    const [store, jobs] = [createAttemptStore(database), createJobStore(database)];
    const [done, dropped] = [await createJob(), await createJob()];
    const a = await begin(done);
    const b = await begin(dropped);
    for (const id of [done, dropped]) await jobs.pause(projectId, id);
    const result = { step: 4, trainedTokens: 1, adapterManifestKey: 'k', adapterManifestSha256: 'a'.repeat(64), fineTunedModel: 'ft:x' };
    expect(await store.succeed(done, a.epoch, result)).toBe('ok');
    await jobs.cancel(projectId, dropped);
    expect((await store.heartbeat(dropped, b.epoch)).stop).toBe('cancel');
    await store.paused(dropped, b.epoch);
    expect([await status(done), await status(dropped)]).toEqual(['succeeded', 'cancelled']);
  });
});

describe('a checkpoint that is asked for', () => {
  const metric = (step: number): MetricPoint => ({
    ...{ step, epoch: 0, train_loss: 1, train_mean_token_accuracy: null, valid_loss: null, valid_mean_token_accuracy: null },
    ...{ learning_rate: null, grad_norm: null, tokens: 1, labelled_tokens: 1, seconds: 1 },
  });
  test('is owed by every heartbeat, over attempts, until one of its step or later is stored; many wishes are one', async () => {
    const [store, jobs] = [createAttemptStore(database), createJobStore(database)];
    const id = await createJob();
    const first = await begin(id);
    const owed = async (epoch: number) => (await store.heartbeat(id, epoch)).wantedCheckpoint;
    const ask = () => jobs.requestCheckpoint(projectId, id);
    expect(await owed(first.epoch)).toBeNull();
    await store.metrics(id, first.epoch, [metric(3)]);
    expect(await ask()).toMatchObject({ id, status: 'running' });
    await store.metrics(id, first.epoch, [metric(4)]);
    await ask();
    expect(await owed(first.epoch)).toBe(3);
    await store.handback(id, first.epoch);
    const { epoch } = await begin(id);
    expect(await owed(epoch)).toBe(3);
    await store.checkpoint(id, epoch, saved(2, 'k2'));
    expect(await owed(epoch)).toBe(3);
    expect(await store.checkpoint(id, first.epoch, saved(4, 'zombie'))).toBe('fenced');
    expect(await owed(epoch)).toBe(3);
    await store.checkpoint(id, epoch, saved(4, 'k4'));
    expect(await owed(epoch)).toBeNull();
    // The step that the job shows is saved already.
    expect(await ask()).toMatchObject({ id });
    expect(await owed(epoch)).toBeNull();
    await store.metrics(id, epoch, [metric(5)]);
    await ask();
    expect(await owed(epoch)).toBe(5);
    expect((await jobs.checkpoints(projectId, id, { limit: 10 })) as object).toMatchObject({ items: [{ step: 4 }, { step: 2 }] });
  });

  test('where no worker makes it, it is refused', async () => {
    const [store, jobs] = [createAttemptStore(database), createJobStore(database)];
    const id = await createJob();
    const ask = () => jobs.requestCheckpoint(projectId, id);
    expect(await ask()).toBe('not_running');
    await jobs.pause(projectId, id);
    expect(await ask()).toBe('not_running');
    await jobs.resume(projectId, id);
    const { epoch } = await begin(id);
    await jobs.cancel(projectId, id);
    expect(await ask()).toBe('not_running');
    await store.cancelled(id, epoch);
    expect(await ask()).toBe('not_running');
    expect(await jobs.requestCheckpoint(projectId, 'ftjob-none')).toBeNull();
  });

  test('that is being stored while it is asked for again is not owed once more', async () => {
    const [store, jobs] = [createAttemptStore(database), createJobStore(database)];
    const id = await createJob();
    const { epoch } = await begin(id);
    for (let step = 1; step <= 12; step++) {
      await store.metrics(id, epoch, [metric(step)]);
      await Promise.all([store.checkpoint(id, epoch, saved(step, `k${step}`)), jobs.requestCheckpoint(projectId, id)]);
      expect((await store.heartbeat(id, epoch)).wantedCheckpoint).toBeNull();
    }
  });
});

test('what is left of the time that a job may run is told to every attempt', async () => {
  const id = await createJob();
  expect((await begin(id)).remainingMs).toBeNull();
  await createAttemptStore(database).handback(id, 1);
  await database.prisma.$executeRaw`UPDATE job SET max_duration_seconds = 100 WHERE id = ${id}`;
  await database.prisma.$executeRaw`UPDATE attempt SET started_at = ended_at - interval '30 seconds' WHERE job_id = ${id}`;
  expect((await begin(id)).remainingMs).toBe(70_000);
});

test('a checkpoint in quarantine is not given to later attempts', async () => {
  const store = createAttemptStore(database);
  const id = await createJob();
  const first = await begin(id);
  for (const step of [1, 2]) await store.checkpoint(id, first.epoch, saved(step, `k${step}`));
  await store.handback(id, first.epoch);
  const second = await begin(id);
  expect(await store.quarantine(id, second.epoch, 'k2', 'optimizer.safetensors is damaged')).toBe('ok');
  expect(await store.quarantine(id, first.epoch, 'k1', 'said by a zombie')).toBe('fenced');
  await store.handback(id, second.epoch);
  expect((await begin(id)).checkpoints.map(({ step }) => step)).toEqual([1]);
});

test('a checkpoint that retention has deleted is offered to nobody, and its row stays for the chain of hashes', async () => {
  const [store, jobs] = [createAttemptStore(database), createJobStore(database)];
  const id = await createJob();
  const first = await begin(id);
  for (const step of [1, 2, 3]) await store.checkpoint(id, first.epoch, saved(step, `k${step}`));
  expect(await store.checkpointRemoved(id, first.epoch, 'k1')).toBe('ok');
  await store.handback(id, first.epoch);
  const second = await begin(id);
  expect(second.checkpoints.map(({ step }) => step)).toEqual([3, 2]);
  expect(await store.checkpointRemoved(id, first.epoch, 'k2')).toBe('fenced');
  const steps = async (which: 'all' | 'kept') => {
    const page = await jobs.checkpoints(projectId, id, { limit: 10 }, which);
    return page === null || page === 'no_cursor' ? page : page.items.map(({ step, removedAt }) => [step, removedAt !== null]);
  };
  expect(await steps('kept')).toEqual([
    [3, false],
    [2, false],
  ]);
  expect(await steps('all')).toEqual([
    [3, false],
    [2, false],
    [1, true],
  ]);
  // The attempt hears of its last deletion after its result stands.
  const result = { step: 4, trainedTokens: 1, adapterManifestKey: 'k', adapterManifestSha256: 'a'.repeat(64), fineTunedModel: 'ft:x' };
  await store.succeed(id, second.epoch, result);
  expect(await store.checkpointRemoved(id, second.epoch, 'k2')).toBe('ok');
  expect(await steps('kept')).toEqual([[3, false]]);
});

describe('the dispatcher', () => {
  test('lets go what there is place for, and announces only that', async () => {
    await beat(worker(), 'cpu', 2);
    const ids = [];
    for (let i = 0; i < 5; i++) ids.push(await createJob());
    expect(await dispatch.release(60_000)).toEqual({ released: 3, preempted: 0 });
    expect((await dispatch.waiting(10)).map(({ jobId }) => jobId)).toEqual(ids.slice(0, 3));
    expect(await dispatch.release(60_000)).toEqual({ released: 0, preempted: 0 });
    await begin(ids[0] as string);
    expect(await dispatch.release(60_000)).toEqual({ released: 0, preempted: 0 });
    await createAttemptStore(database).handback(ids[0] as string, 1);
    // One place came free, and it is the oldest's turn again.
    expect(await dispatch.release(60_000)).toEqual({ released: 1, preempted: 0 });
    expect((await dispatch.waiting(10)).map(({ jobId, dispatchNo }) => [jobId, dispatchNo])).toEqual([
      [ids[1], 1],
      [ids[2], 1],
      [ids[0], 2],
    ]);
  });

  test('a project that had less time goes first', async () => {
    const other = (await database.prisma.project.create({ data: { id: newId('project', randomBytes), name: 'other' } })).id as ProjectId;
    await beat(worker(), 'cpu');
    const busy = await createJob();
    await begin(busy);
    await database.prisma.$executeRaw`UPDATE attempt SET started_at = clock_timestamp() - interval '10 minutes'`;
    const [mine, theirs] = [await createJob(), await createJob()];
    await database.prisma.$executeRaw`UPDATE job SET project_id = ${other} WHERE id = ${theirs}`;
    await dispatch.release(60_000);
    expect((await dispatch.waiting(10)).map(({ jobId }) => jobId)).toEqual([theirs]);
    expect(mine).not.toBe(theirs);
  });

  test('binds a job to the class of its first attempt; workers of another class do not get it', async () => {
    await beat(worker(), 'cpu');
    await beat(worker(), 'cuda-80g');
    const id = await createJob();
    await dispatch.release(60_000);
    expect((await dispatch.waiting(10))[0]?.deviceClasses).toEqual(['cpu', 'cuda-80g']);
    await begin(id, 'cuda-80g');
    await createAttemptStore(database).handback(id, 1);
    await dispatch.release(60_000);
    expect((await dispatch.waiting(10))[0]?.deviceClasses).toEqual(['cuda-80g']);
    expect(await createAttemptStore(database).begin(id, worker(), 'cpu')).toBe('not_runnable');
    expect((await begin(id, 'cuda-80g')).epoch).toBe(2);
  });

  test('a job for a kind of device is offered to, counted for and begun by classes of that kind only', async () => {
    for (const deviceClass of ['cpu', 'cuda-80g', 'cudax']) await beat(worker(), deviceClass);
    const id = await createJob();
    await database.prisma.$executeRaw`UPDATE job SET request = '{"model": "m", "device": "cuda"}' WHERE id = ${id}`;
    const workers = createWorkerStore(database);
    const wanted = async (deviceClass: string) => workers.wantedSlots(deviceClass, deviceClass === 'cpu');
    const others = await wanted('cpu');
    await dispatch.release(60_000);
    expect((await dispatch.waiting(10)).find(({ jobId }) => jobId === id)?.deviceClasses).toEqual(['cuda-80g']);
    expect([await wanted('cuda-80g'), await wanted('cudax'), await wanted('cpu')]).toEqual([1, 0, others]);
    for (const deviceClass of ['cpu', 'cudax'])
      expect(await createAttemptStore(database).begin(id, worker(), deviceClass)).toBe('not_runnable');
    expect((await begin(id, 'cuda-80g')).job.device).toBe('cuda');
  });

  test('asks the attempt of lower priority to make room, and counts no attempt for it', async () => {
    const store = createAttemptStore(database);
    await beat(worker(), 'cpu');
    const low = await createJob();
    const { epoch } = await begin(low);
    await database.prisma.$executeRaw`UPDATE attempt SET started_at = clock_timestamp() - interval '10 minutes'`;
    const urgent = await createJob();
    await database.prisma.$executeRaw`UPDATE job SET priority = 90 WHERE id = ${urgent}`;
    expect(await dispatch.release(60_000)).toEqual({ released: 1, preempted: 1 });
    expect(await dispatch.release(60_000)).toEqual({ released: 0, preempted: 0 });
    expect((await store.heartbeat(low, epoch)).stop).toBe('preempt');
    expect(await store.handback(low, epoch, 'preempted')).toBe('ok');
    expect(await outcomes(low)).toEqual(['preempted']);
    expect((await dispatch.waiting(10)).map(({ jobId, priority }) => [jobId, priority])).toEqual([[urgent, 90]]);
    await begin(urgent);
    expect((await store.heartbeat(low, epoch)).fence).toBe('fenced');
    await dispatch.release(60_000);
    expect((await store.heartbeat(low, (await begin(low)).epoch)).stop).toBeNull();
  });
});

test('workers are known by their heartbeats, by the clock of the database', async () => {
  const workers = createWorkerStore(database);
  const [here, silent, gone] = [worker(), worker(), worker()];
  const before = Date.now();
  expect(Math.abs((await beat(here, 'cpu')) - before)).toBeLessThan(60_000);
  await beat(silent, 'cpu');
  await beat(gone, 'cuda');
  await workers.leave(gone);
  await database.prisma.$executeRaw`UPDATE worker SET heartbeat_at = clock_timestamp() - interval '1 minute' WHERE id = ${silent}`;
  const id = await createJob();
  await begin(id, 'cpu', here);
  const listed = await workers.list(15_000);
  expect(new Map(listed.map((w) => [w.id, w.alive]))).toEqual(
    new Map([
      [here, true],
      [gone, false],
      [silent, false],
    ]),
  );
  expect(listed[0]).toMatchObject({ id: here, deviceClass: 'cpu', slots: 1, jobs: [id] });
  await beat(gone, 'cuda');
  expect((await workers.list(15_000)).find((w) => w.id === gone)?.alive).toBe(true);
});

test('garbage is what no row needs: never a file, the data of an open job, a checkpoint of the tables, an adapter, or what may still be written', async () => {
  const store = createAttemptStore(database);
  const unreferenced = (keys: readonly string[]) => createReferenceStore(database).unreferenced(keys);
  const content = `files/${projectId}/${file}`;
  const data = `files/${projectId}/deleted-file`;
  const id = await createJob({ training_data: { key: data, sha256: 's', bytes: 1 } });
  const at = (rest: string) => `jobs/${id}/${rest}`;
  const first = await begin(id);
  await store.checkpoint(id, first.epoch, saved(1, at('e1/checkpoint-1/manifest.json')));
  await store.handback(id, first.epoch);
  const second = await begin(id);
  const needed = [content, data, at('e1/checkpoint-1/rows.safetensors'), at('e1/checkpoint-1/manifest.json'), at('e2/checkpoint-2/rows')];
  needed.push(scoresKeyOf(id), selectionKeyOf(id));
  const garbage = [
    at('e1/checkpoint-10/rows.safetensors'),
    at('e1/adapter/half'),
    at('e1/scores.json'),
    'jobs/ftjob-none/e1/x',
    selectionKeyOf('ftjob-none'),
    `files/${projectId}/nobody`,
  ];
  expect(await unreferenced([...needed, ...garbage])).toEqual(garbage);
  const result = {
    step: 4,
    trainedTokens: 1,
    adapterManifestKey: at('e2/adapter/manifest.json'),
    adapterManifestSha256: 'a'.repeat(64),
    fineTunedModel: 'ft:x',
  };
  await store.succeed(id, second.epoch, result);
  expect(await unreferenced([...needed, at('e2/adapter/adapter_model.safetensors'), ...garbage])).toEqual([data, ...garbage]);
  const failed = await createJob();
  await begin(failed);
  expect(await unreferenced([`jobs/${failed}/e1/checkpoint-1/rows`])).toEqual([]);
  await store.cancelled(failed, 1);
  expect(await unreferenced([`jobs/${failed}/e1/checkpoint-1/rows`])).toEqual([`jobs/${failed}/e1/checkpoint-1/rows`]);
});
