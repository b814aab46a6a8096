/** A job that is deleted: gone from every read, counted on, its objects garbage unless another job needs them. On a real Postgres. */
import { randomBytes } from 'node:crypto';
import { type FileId, type JobId, type JobSpec, newId, type ProjectId, scoresKeyOf, selectionKeyOf } from '@rowsmith/contracts';
import type { NewJob } from '@rowsmith/core';
import { startPostgres, type TestPostgres } from '@rowsmith/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createApiKeyStore } from './api-key-store.js';
import { appendEvents } from './append-events.js';
import { createAttemptStore } from './attempt-store.js';
import { type Database, openDatabase } from './database.js';
import { createDispatchStore, type LeadingDispatchStore } from './dispatch-store.js';
import { createFileStore } from './file-store.js';
import { createJobStore } from './job-store.js';
import { createProjectStore } from './project-store.js';
import { createReferenceStore } from './reference-store.js';
import { createTrackingStore } from './tracking-store.js';

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
  file = await addFile('fine-tune');
});
afterEach(async () => {
  await dispatch.close();
  await database.close();
});

async function addFile(purpose: 'fine-tune' | 'fine-tune-results', id = newId('file', randomBytes)): Promise<FileId> {
  await createFileStore(database).insert({
    ...{ id, projectId, filename: 'a', purpose, bytes: 3, sha256: 's', key: `files/${projectId}/${id}` },
    ...{ examples: 1, findings: null, lifeSeconds: null },
  });
  return id;
}
const newJob = (spec: Partial<JobSpec> = {}, request: NewJob['request'] = { model: 'm' }): NewJob => ({
  ...{ id: newId('job', randomBytes), projectId, model: 'm', suffix: null, seed: 1, metadata: { of: 'test' }, trainingFile: file },
  ...{ validationFile: null, hyperparameters: { n_epochs: 1, batch_size: 1, learning_rate_multiplier: 1 }, totalSteps: 4 },
  ...{ rowSparse: {} as JobSpec['row_sparse'], spec: spec as JobSpec },
  ...{ priority: 50, deviceClass: null, maxDurationSeconds: null, request, autoStart: true },
});
async function create(job: NewJob, idempotency?: { key: string; bodySha256: string }): Promise<JobId> {
  const created = await createJobStore(database).create(job, idempotency);
  if (typeof created === 'string') throw new Error(created);
  return created.job.id;
}
const resultFile = newId('file', randomBytes);
const remove = (id: string) => createJobStore(database).delete(projectId, id, resultFile);
/** With a checkpoint, a metric and an adapter. */
async function succeed(id: string): Promise<void> {
  const store = createAttemptStore(database);
  const attempt = await store.begin(id, newId('worker', randomBytes));
  if (attempt === 'not_runnable') throw new Error(attempt);
  const { epoch } = attempt;
  const nothing = { train_mean_token_accuracy: null, valid_loss: null, valid_mean_token_accuracy: null, learning_rate: null };
  await store.metrics(id, epoch, [
    { step: 4, epoch: 1, train_loss: 1, ...nothing, grad_norm: null, tokens: 1, labelled_tokens: 1, seconds: 1 },
  ]);
  await store.checkpoint(id, epoch, {
    ...{ step: 4, manifestKey: `jobs/${id}/e1/checkpoint-4/manifest.json`, manifestSha256: 's', metrics: { step: 4 } },
  });
  const result = { step: 4, trainedTokens: 1, adapterManifestKey: `jobs/${id}/e1/adapter/manifest.json`, adapterManifestSha256: 's' };
  await store.succeed(id, epoch, { ...result, fineTunedModel: `ft:${id}` });
}

test('it is gone from every read; its attempt is counted on, and the second time there is nothing to delete', async () => {
  const jobs = createJobStore(database);
  const key = { key: 'k', bodySha256: 'a' };
  const id = await create(newJob(), key);
  expect(await remove(id)).toBe('unfinished');
  await succeed(id);
  await addFile('fine-tune-results', resultFile);
  await dispatch.setResultFile(id, resultFile);
  const checkpoint = (await database.prisma.checkpoint.findFirstOrThrow({ where: { jobId: id } })).id;
  const used = async () => (await createProjectStore(database).usage(projectId))?.deviceSeconds;
  await database.prisma.$executeRaw`UPDATE attempt SET started_at = ended_at - interval '30 seconds' WHERE job_id = ${id}`;
  const before = await used();
  expect(await createJobStore(database).delete('proj_000000000000000000000000' as ProjectId, id, resultFile)).toBeNull();
  expect(await remove(id)).toBe('deleted');

  expect([await remove(id), await jobs.get(projectId, id), await jobs.request(projectId, id)]).toEqual([null, null, null]);
  const page = { limit: 10 };
  for (const read of [
    jobs.events(projectId, id, page),
    jobs.eventsSince(projectId, id, 0, 10),
    jobs.metrics(projectId, id, -1, 10),
    jobs.checkpoints(projectId, id, page),
    jobs.checkpoint(projectId, checkpoint),
    jobs.cancel(projectId, id),
    jobs.pause(projectId, id),
    jobs.resume(projectId, id),
    jobs.start(projectId, id),
    jobs.requestCheckpoint(projectId, id),
    jobs.succeededByModel(projectId, `ft:${id}`),
    createFileStore(database).get(projectId, resultFile),
  ])
    expect(await read).toBeNull();
  expect((await jobs.list(projectId, page)).items).toEqual([]);
  expect((await jobs.list(projectId, { ...page, metadata: { of: 'test' } })).items).toEqual([]);
  expect([await jobs.listFineTuned(projectId), await jobs.deleteModel(projectId, `ft:${id}`)]).toEqual([[], false]);
  expect(await dispatch.withoutResultFile(10)).toEqual([]);
  expect([await jobs.replay(projectId, key), await jobs.create(newJob(), key)]).toEqual(['deleted', 'deleted']);
  expect(await used()).toBe(before);
  expect(await createFileStore(database).get(projectId, file)).not.toBeNull();
});

test('what is on its way meanwhile makes nothing that stays: an event, a result file, what is sent to a tracker', async () => {
  const integrations: NonNullable<NewJob['request']['integrations']> = [{ type: 'mlflow', mlflow: { experiment: 'e' } }];
  const tracking = createTrackingStore(database);
  const [id, other] = [await create(newJob({}, { model: 'm', integrations })), await create(newJob({}, { model: 'm', integrations }))];
  await succeed(id);
  await succeed(other);
  expect(await tracking.due(10, 0)).toHaveLength(2);
  await remove(id);
  expect((await tracking.due(1, 0)).map(({ job }) => job.id)).toEqual([other]);
  await database.prisma.$transaction((tx) => appendEvents(tx, id, [{ level: 'warn', type: 'warning', message: 'late' }]));
  expect(await database.prisma.event.count({ where: { jobId: id } })).toBe(0);
  await addFile('fine-tune-results', resultFile);
  await dispatch.setResultFile(id, resultFile);
  expect(await createFileStore(database).get(projectId, resultFile)).toBeNull();
});

test('its objects are garbage; those that an unfinished job starts from are not, until that one has ended', async () => {
  const unreferenced = (keys: readonly string[]) => createReferenceStore(database).unreferenced(keys);
  const id = await create(newJob());
  await succeed(id);
  const rows = `jobs/${id}/e1/adapter/rows.safetensors`;
  const rest = ['e1/adapter/manifest.json', 'e1/checkpoint-4/rows.safetensors'].map((key) => `jobs/${id}/${key}`).concat(scoresKeyOf(id));
  const selection = selectionKeyOf(id);
  expect(await unreferenced([rows, selection, ...rest])).toEqual([]);
  const warm = await create(newJob({ warm_start: { key: rows, sha256: 's', bytes: 1 } }));
  const same = await create(newJob({ reuse_rows: { key: selection, sha256: 's', bytes: 1 } }));
  await remove(id);
  expect(await unreferenced([rows, selection, ...rest])).toEqual(rest);
  await createJobStore(database).cancel(projectId, warm);
  expect(await unreferenced([rows, selection, ...rest])).toEqual([rows, ...rest]);
  await createJobStore(database).cancel(projectId, same);
  expect(await unreferenced([rows, selection, ...rest])).toEqual([rows, selection, ...rest]);
});

test('deleted while a job is made from it: either that job holds what it starts from or there is none', async () => {
  const jobs = createJobStore(database);
  const outcomes = await Promise.all(
    Array.from({ length: 12 }, async (_, i) => {
      const id = await create(newJob());
      await succeed(id);
      const key = `jobs/${id}/e1/adapter/rows.safetensors`;
      const job = newJob({ warm_start: { key, sha256: 's', bytes: 1 } });
      const idempotency = i % 2 === 0 ? undefined : { key: `k${i}`, bodySha256: 'a' };
      const [created, deleted] = await Promise.all([jobs.create(job, idempotency), remove(id)]);
      const garbage = (await createReferenceStore(database).unreferenced([key])).length > 0;
      return [deleted, created === 'job_gone' ? created : 'created', garbage ? 'garbage' : 'held'].join(' ');
    }),
  );
  for (const outcome of outcomes) expect(['deleted created held', 'deleted job_gone garbage']).toContain(outcome);
});
