import { randomBytes } from 'node:crypto';
import { type FileId, type JobSpec, type MetricPoint, newId, type ProjectId } from '@rowsmith/contracts';
import type { JobRecord, NewJob } from '@rowsmith/core';
import { startPostgres, type TestPostgres } from '@rowsmith/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createApiKeyStore } from './api-key-store.js';
import { createAttemptStore } from './attempt-store.js';
import { type Database, openDatabase } from './database.js';
import { createDispatchStore, type LeadingDispatchStore } from './dispatch-store.js';
import { startEventNotifier } from './event-notifier.js';
import { createFileStore } from './file-store.js';
import { createJobStore } from './job-store.js';
import { createWorkerStore } from './worker-store.js';

let postgres: TestPostgres;
let database: Database;
let url = '';
let projectId: ProjectId;
let trainingFile: FileId;
let dispatch: LeadingDispatchStore;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  url = await postgres.createDatabase();
  database = openDatabase(url);
  dispatch = createDispatchStore(database, url);
  projectId = (await createApiKeyStore(database).ensure({ hash: 'h', last4: '1234', name: 'test' })).projectId;
  trainingFile = (await addFile()).id;
});
afterEach(async () => {
  await dispatch.close();
  await database.close();
});

const foreign = 'proj_000000000000000000000000' as ProjectId;
const worker = () => newId('worker', randomBytes);
const newJob = (change: Partial<NewJob> = {}): NewJob => ({
  id: newId('job', randomBytes),
  projectId,
  model: 'm',
  suffix: null,
  seed: 1,
  metadata: null,
  trainingFile,
  validationFile: null,
  hyperparameters: { n_epochs: 1, batch_size: 1, learning_rate_multiplier: 1 },
  rowSparse: {} as NewJob['rowSparse'],
  spec: {} as JobSpec,
  totalSteps: 4,
  priority: 50,
  deviceClass: null,
  maxDurationSeconds: null,
  request: { model: 'm' },
  autoStart: true,
  ...change,
});
const createJob = async (change: Partial<NewJob> = {}, idempotency?: { key: string; bodySha256: string }) => {
  const created = await createJobStore(database).create(newJob(change), idempotency);
  if (typeof created === 'string') throw new Error(created);
  return created.job;
};
const addFile = () =>
  createFileStore(database).insert({
    ...{ id: newId('file', randomBytes), projectId, filename: 'a', purpose: 'fine-tune', bytes: 3, sha256: 's', key: 'k' },
    ...{ examples: 1, findings: null, lifeSeconds: null },
  });
const begin = async (jobId: string, workerId = worker()) => {
  const attempt = await createAttemptStore(database).begin(jobId, workerId);
  if (attempt === 'not_runnable') throw new Error(attempt);
  return attempt;
};
const point = (step: number, loss: number | null, valid: number | null = null): MetricPoint => ({
  step,
  epoch: 0,
  train_loss: loss,
  train_mean_token_accuracy: null,
  valid_loss: valid,
  valid_mean_token_accuracy: null,
  learning_rate: null,
  grad_norm: null,
  tokens: 1,
  labelled_tokens: 1,
  seconds: 1,
});

describe('jobs', () => {
  test('a foreign project sees nothing', async () => {
    const job = await createJob();
    const jobs = createJobStore(database);
    expect((await jobs.get(projectId, job.id))?.status).toBe('queued');
    expect(await jobs.get(foreign, job.id)).toBeNull();
    expect(await jobs.cancel(foreign, job.id)).toBeNull();
    expect(await jobs.events(foreign, job.id, { limit: 10 })).toBeNull();
    expect(await jobs.eventsSince(foreign, job.id, 0, 10)).toBeNull();
    expect(await jobs.metrics(foreign, job.id, -1, 10)).toBeNull();
    expect(await jobs.checkpoints(foreign, job.id, { limit: 10 })).toBeNull();
    expect((await jobs.list(foreign, { limit: 10 })).items).toEqual([]);
  });

  test('pages are complete and in order, also when rows were made in the same millisecond', async () => {
    const made = await Promise.all(Array.from({ length: 7 }, (_, i) => createJob({ metadata: { parity: String(i % 2) } })));
    const jobs = createJobStore(database);
    const seen: string[] = [];
    for (let after: string | undefined, more = true; more; ) {
      const page = await jobs.list(projectId, { limit: 2, after });
      seen.push(...page.items.map((j) => j.id));
      more = page.hasMore;
      after = seen.at(-1);
    }
    const newestFirst = (a: JobRecord, b: JobRecord) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1);
    expect(seen).toEqual(made.sort(newestFirst).map((j) => j.id));
    expect((await jobs.list(projectId, { limit: 10, metadata: { parity: '1' } })).items).toHaveLength(3);
  });

  test('one key, many posts: one job; another body is told apart', async () => {
    const jobs = createJobStore(database);
    const key = { key: 'k', bodySha256: 'a' };
    const results = await Promise.all(Array.from({ length: 10 }, () => jobs.create(newJob(), key)));
    const ids = results.map((r) => (typeof r === 'string' ? r : r.job.id));
    expect(new Set(ids).size).toBe(1);
    expect(results.filter((r) => typeof r !== 'string' && !r.replayed)).toHaveLength(1);
    expect(await jobs.create(newJob(), { key: 'k', bodySha256: 'b' })).toBe('other_body');
    expect((await jobs.list(projectId, { limit: 10 })).items).toHaveLength(1);
  });

  test('a file in use is not deleted until its job is over', async () => {
    const files = createFileStore(database);
    const file = await addFile();
    const job = await createJob({ trainingFile: file.id });
    expect(await files.delete(projectId, file.id)).toBe('in_use');
    expect(await files.delete(foreign, file.id)).toBeNull();
    await createJobStore(database).cancel(projectId, job.id);
    expect(await files.delete(projectId, file.id)).toMatchObject({ id: file.id });
    expect(await files.get(projectId, file.id)).toBeNull();
  });

  test('a file deleted while its job is created: either it is in use or there is no job', async () => {
    const jobs = createJobStore(database);
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, async (_, i) => {
        const file = await addFile();
        const key = { key: `k${i}`, bodySha256: 'a' };
        const job = newJob({ validationFile: file.id });
        const [created, deleted] = await Promise.all([jobs.create(job, key), createFileStore(database).delete(projectId, file.id)]);
        return [created === 'file_gone' ? created : 'created', deleted === 'in_use' ? deleted : 'deleted'].join(' ');
      }),
    );
    for (const outcome of outcomes) expect(['created in_use', 'file_gone deleted']).toContain(outcome);
    const gone = newJob({ validationFile: newId('file', randomBytes) });
    expect(await jobs.create(gone, { key: 'once', bodySha256: 'a' })).toBe('file_gone');
    // The key was not used up by it.
    expect(await jobs.create(newJob(), { key: 'once', bodySha256: 'b' })).toMatchObject({ replayed: false });
  });
});

describe('attempts', () => {
  test('of many workers with one wake-up, one begins', async () => {
    const job = await createJob();
    const store = createAttemptStore(database);
    const begun = await Promise.all(Array.from({ length: 8 }, () => store.begin(job.id, worker())));
    expect(begun.filter((b) => b !== 'not_runnable')).toHaveLength(1);
  });

  test('an attempt with an older epoch writes nothing', async () => {
    const job = await createJob();
    const store = createAttemptStore(database);
    const old = await begin(job.id);
    await store.handback(job.id, old.epoch);
    const next = await begin(job.id);
    expect(next.epoch).toBe(old.epoch + 1);
    const before = await createJobStore(database).eventsSince(projectId, job.id, 0, 100);
    const result = { step: 1, trainedTokens: 1, adapterManifestKey: 'k', adapterManifestSha256: 'a'.repeat(64), fineTunedModel: 'ft:x' };
    expect(await store.metrics(job.id, old.epoch, [point(1, 1)])).toBe('fenced');
    expect(await store.checkpoint(job.id, old.epoch, { step: 1, manifestKey: 'k', manifestSha256: 's', metrics: { step: 1 } })).toBe(
      'fenced',
    );
    expect(await store.succeed(job.id, old.epoch, result)).toBe('fenced');
    expect(await store.cancelled(job.id, old.epoch)).toBe('fenced');
    expect(await store.handback(job.id, old.epoch)).toBe('fenced');
    expect((await store.heartbeat(job.id, old.epoch)).fence).toBe('fenced');
    expect((await store.fail(job.id, old.epoch, { class: 'user', code: 'c', message: 'm', param: null })).fence).toBe('fenced');
    expect(await createJobStore(database).eventsSince(projectId, job.id, 0, 100)).toEqual(before);
    expect(await store.succeed(job.id, next.epoch, result)).toBe('ok');
    expect(await createJobStore(database).get(projectId, job.id)).toMatchObject({
      status: 'succeeded',
      fineTunedModel: 'ft:x',
      adapterManifestSha256: 'a'.repeat(64),
      trainedTokens: 1,
    });
  });

  test('concurrent events are numbered 1, 2, 3 ... without a gap', async () => {
    const job = await createJob();
    const { epoch } = await begin(job.id);
    const store = createAttemptStore(database);
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => store.progress(job.id, epoch, {}, [{ level: 'info', type: 'phase', message: String(i) }])),
    );
    const events = (await createJobStore(database).eventsSince(projectId, job.id, 0, 100)) ?? [];
    expect(events.map((e) => e.seq)).toEqual(Array.from({ length: events.length }, (_, i) => i + 1));
    expect(events).toHaveLength(23);
  });

  test('steps repeated after a resume replace their row and make no second event; an evaluation joins its step', async () => {
    const job = await createJob();
    const { epoch } = await begin(job.id);
    const store = createAttemptStore(database);
    // Not a sum of few powers of two: stored as it is, to the last bit.
    const loss = 0.1 + 0.2;
    await store.metrics(job.id, epoch, [point(1, loss), point(2, 0.25)]);
    // Evaluations take longer than their step; its row keeps the seconds of the step, whether they come together or later.
    const evaluation = (step: number, valid: number) => ({ ...point(step, null, valid), seconds: 60 });
    await store.metrics(job.id, epoch, [point(2, 0.25), evaluation(2, 0.125), evaluation(2, 0.125)]);
    await store.metrics(job.id, epoch, [evaluation(2, 0.125)]);
    const jobs = createJobStore(database);
    expect((await jobs.metrics(projectId, job.id, -1, 10))?.map((p) => [p.step, p.train_loss, p.valid_loss, p.seconds])).toEqual([
      [1, loss, null, 1],
      [2, 0.25, 0.125, 1],
    ]);
    const events = (await jobs.eventsSince(projectId, job.id, 0, 100))?.filter((e) => e.kind === 'metrics');
    expect(events?.map((e) => [e.data['step'], e.data['train_loss'], e.data['valid_loss']])).toEqual([
      [1, loss, null],
      [2, 0.25, null],
      [2, null, 0.125],
    ]);
    expect((await jobs.get(projectId, job.id))?.step).toBe(2);
  });

  test('a trainer that dies goes on while checkpoints advance, and ends as poison without progress; a store that is away or a lost worker does not', async () => {
    const job = await createJob();
    const store = createAttemptStore(database);
    const fail = async (step: number | null, code = 'trainer_killed') => {
      await database.prisma.$executeRaw`UPDATE job SET not_before = clock_timestamp() WHERE id = ${job.id}`;
      const { epoch } = await begin(job.id);
      if (step !== null) await store.checkpoint(job.id, epoch, { step, manifestKey: `k${step}`, manifestSha256: 's', metrics: { step } });
      return (await store.fail(job.id, epoch, { class: 'infra', code, message: 'm', param: null })).decision;
    };
    expect([await fail(1), await fail(2), await fail(3), await fail(4)]).toEqual(['retry', 'retry', 'retry', 'retry']);
    for (let i = 0; i < 6; i++) expect(await fail(null, 'storage_unavailable')).toBe('retry');
    await database.prisma.$executeRaw`UPDATE job SET not_before = clock_timestamp() WHERE id = ${job.id}`;
    const lostWorker = worker();
    await begin(job.id, lostWorker);
    expect(await store.reclaim(lostWorker)).toBe(1);
    // Three deaths without a newer checkpoint: none, one already there, none.
    expect([await fail(null), await fail(4), await fail(null)]).toEqual(['retry', 'retry', 'failed']);
    expect(await createJobStore(database).get(projectId, job.id)).toMatchObject({ status: 'failed', error: { code: 'poison' } });
  });

  test('ten lost workers in a row without a checkpoint are poison: nine are not', async () => {
    const job = await createJob();
    const store = createAttemptStore(database);
    const status = async () => (await createJobStore(database).get(projectId, job.id))?.status;
    for (let i = 0; i < 10; i++) {
      expect(await status()).toBe('queued');
      const id = worker();
      await begin(job.id, id);
      await store.reclaim(id);
    }
    expect(await createJobStore(database).get(projectId, job.id)).toMatchObject({ status: 'failed', error: { code: 'poison' } });
  });

  test('cancelling: at once while queued, through the heartbeat while running, refused when over', async () => {
    const jobs = createJobStore(database);
    const queued = await createJob();
    expect(await jobs.cancel(projectId, queued.id)).toMatchObject({ status: 'cancelled' });
    expect(await jobs.cancel(projectId, queued.id)).toBe('final');
    const running = await createJob();
    const { epoch } = await begin(running.id);
    const store = createAttemptStore(database);
    expect((await store.heartbeat(running.id, epoch)).stop).toBeNull();
    expect(await jobs.cancel(projectId, running.id)).toMatchObject({ status: 'running' });
    expect((await store.heartbeat(running.id, epoch)).stop).toBe('cancel');
    expect(await store.cancelled(running.id, epoch)).toBe('ok');
    expect(await jobs.get(projectId, running.id)).toMatchObject({ status: 'cancelled' });
  });

  test('cancelling many times at once, while the worker writes, is told once and numbered among its events', async () => {
    const jobs = createJobStore(database);
    const job = await createJob();
    const { epoch } = await begin(job.id);
    const store = createAttemptStore(database);
    const writes = Array.from({ length: 5 }, (_, i) => store.metrics(job.id, epoch, [point(i + 1, 0.5)]));
    const answers = await Promise.all([...Array.from({ length: 8 }, () => jobs.cancel(projectId, job.id)), ...writes]);
    expect(answers.slice(0, 8).map((answer) => (typeof answer === 'object' ? answer?.status : answer))).toEqual(Array(8).fill('running'));
    const events = (await jobs.eventsSince(projectId, job.id, 0, 100)) ?? [];
    expect(events.map((e) => e.seq)).toEqual(events.map((_, i) => i + 1));
    expect(events.filter((e) => e.message.startsWith('Cancellation was requested'))).toHaveLength(1);
    expect(events.filter((e) => e.kind === 'metrics')).toHaveLength(5);
  });

  test('silent attempts are taken away by the database clock, a restarted worker gives back its own', async () => {
    const [silent, mine, other] = await Promise.all([createJob(), createJob(), createJob()]);
    const me = worker();
    await begin(silent.id);
    await begin(mine.id, me);
    await begin(other.id);
    await database.prisma.$executeRaw`UPDATE job SET heartbeat_at = clock_timestamp() - interval '1 hour' WHERE id = ${silent.id}`;
    expect(await dispatch.requeueLost(60_000)).toBe(1);
    expect(await createAttemptStore(database).reclaim(me)).toBe(1);
    await createWorkerStore(database).beat({ id: me, deviceClass: 'cpu', slots: 3, version: '1', host: 'h', skewMs: 0 });
    await dispatch.release(60_000);
    const waiting = await dispatch.waiting(10);
    expect(new Map(waiting.map((w) => [w.jobId, w.dispatchNo]))).toEqual(
      new Map([
        [silent.id, 2],
        [mine.id, 2],
      ]),
    );
  });
});

test('one control loop leads; when its connection ends another does', async () => {
  const second = createDispatchStore(database, url);
  expect(await dispatch.asLeader(async () => {})).toBe(true);
  expect(await second.asLeader(async () => {})).toBe(false);
  await dispatch.close();
  expect(await second.asLeader(async () => {})).toBe(true);
  await second.close();
});

test('listeners are woken by the job that they watch', async () => {
  const job = await createJob();
  const { epoch } = await begin(job.id);
  const notifier = startEventNotifier(url);
  const woken = new Promise<void>((wake) => notifier.subscribe(job.id, wake));
  // The listener may still be connecting: events go on until one is heard.
  let heard = false;
  void woken.then(() => {
    heard = true;
  });
  while (!heard) await createAttemptStore(database).progress(job.id, epoch, {}, [{ level: 'info', type: 'phase', message: 'm' }]);
  await notifier.close();
});

test('a key that expired or was revoked is nobody', async () => {
  const keys = createApiKeyStore(database);
  expect((await keys.findByHash('h'))?.projectId).toBe(projectId);
  await database.prisma.$executeRaw`UPDATE api_key SET expires_at = clock_timestamp() - interval '1 second'`;
  expect(await keys.findByHash('h')).toBeNull();
  await database.prisma.$executeRaw`UPDATE api_key SET expires_at = NULL, revoked_at = clock_timestamp()`;
  expect(await keys.findByHash('h')).toBeNull();
});
