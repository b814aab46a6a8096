/** Keys, projects, quotas and the audit log against a real Postgres. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FileId, type JobSpec, newId, type ProjectId, type Scope } from '@rowsmith/contracts';
import type { NewJob } from '@rowsmith/core';
import { startPostgres, type TestPostgres } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApiKeyStore } from './api-key-store.js';
import { createAuditStore } from './audit-store.js';
import { type Database, openDatabase } from './database.js';
import { createDispatchStore } from './dispatch-store.js';
import { createFileStore } from './file-store.js';
import { createJobStore } from './job-store.js';
import { createProjectStore } from './project-store.js';
import { createUploadStore } from './upload-store.js';

let postgres: TestPostgres;
let database: Database;
beforeAll(async () => {
  postgres = await startPostgres();
  database = openDatabase(await postgres.createDatabase());
});
afterAll(async () => {
  await database.close();
  await postgres.stop();
});

const projects = () => createProjectStore(database);
const keys = () => createApiKeyStore(database);
async function newProject(name: string, quotas: Parameters<ReturnType<typeof projects>['create']>[0]['quotas'] = {}) {
  const project = await projects().create({ id: newId('project', randomBytes), name, quotas });
  if (project === 'name_taken') throw new Error(name);
  return project;
}
const secret = (hash: string) => ({ id: newId('apiKey', randomBytes), hash, last4: hash.slice(-4) });
async function newKey(projectId: ProjectId, hash: string, scopes: Scope[] = ['write'], expiresAt: Date | null = null) {
  const key = await keys().create({ ...secret(hash), projectId, name: hash, scopes, expiresAt }, 100);
  if (key === 'full') throw new Error(key);
  return key;
}
function newFile(projectId: ProjectId, bytes: number, purpose: 'fine-tune' | 'fine-tune-results' = 'fine-tune') {
  const file = { id: newId('file', randomBytes), projectId, filename: 'f', purpose, bytes, sha256: '', key: 'k' } as const;
  return createFileStore(database).insert({ ...file, examples: 1, findings: null, lifeSeconds: null });
}
const newJob = (projectId: ProjectId, trainingFile: FileId, autoStart = true): NewJob => ({
  ...{ id: newId('job', randomBytes), projectId, model: 'm', suffix: null, seed: 1, metadata: null, trainingFile, validationFile: null },
  hyperparameters: { n_epochs: 1, batch_size: 1, learning_rate_multiplier: 1 },
  rowSparse: {} as NewJob['rowSparse'],
  spec: {} as JobSpec,
  ...{ totalSteps: 4, deviceClass: null, priority: 50, maxDurationSeconds: null, request: { model: 'm' }, autoStart },
});

test("the environment's keys are of the default project and may do everything; again changes nothing", async () => {
  const one = await keys().ensure({ hash: 'env-1', last4: 'env1', name: 'environment' });
  expect(one.scopes).toEqual(['organization']);
  expect(await keys().ensure({ hash: 'env-1', last4: 'env1', name: 'environment' })).toMatchObject({ id: one.id });
  expect((await keys().ensure({ hash: 'env-2', last4: 'env2', name: 'environment' })).projectId).toBe(one.projectId);
  expect((await projects().get(one.projectId))?.name).toBe('default');
  expect(await projects().archive(one.projectId)).toBe('default');
  expect(await projects().update(one.projectId, { name: 'other', quotas: {} })).toBe('default');
});

test('a key is found until it expires, is revoked, or its project is archived', async () => {
  const { id: projectId } = await newProject('life');
  const key = await newKey(projectId, 'life-1', ['files:read']);
  await newKey(projectId, 'life-2', ['read'], new Date(Date.now() - 1000));
  expect(await keys().findByHash('life-1')).toMatchObject({ id: key.id, scopes: ['files:read'], projectRequestsPerMinute: null });
  expect(await keys().findByHash('life-2')).toBeNull();
  expect((await keys().list(projectId, { limit: 10 })).items.map(({ name }) => name)).toEqual(['life-2', 'life-1']);
  await newKey(projectId, 'life-3');
  expect(await keys().create({ ...secret('life-4'), projectId, name: 'x', scopes: ['read'], expiresAt: null }, 3)).toBe('full');
  expect(await keys().revoke(projectId, key.id)).toBe(true);
  expect(await keys().revoke(projectId, key.id)).toBe(false);
  expect(await keys().findByHash('life-1')).toBeNull();
  expect(await keys().get(projectId, key.id)).toBeNull();
  expect(await keys().findByHash('life-3')).not.toBeNull();
  expect((await projects().archive(projectId)) as object).toHaveProperty('archivedAt', expect.any(Date));
  expect(await keys().findByHash('life-3')).toBeNull();
});

test('the time of use is written once a minute', async () => {
  const { id: projectId } = await newProject('used');
  const { id } = await newKey(projectId, 'used-1');
  const at = async () => (await keys().get(projectId, id))?.lastUsedAt?.getTime() ?? null;
  expect(await at()).toBeNull();
  await keys().findByHash('used-1');
  const first = await at();
  expect(first).not.toBeNull();
  await keys().findByHash('used-1');
  expect(await at()).toBe(first);
  await database.prisma.$executeRaw`UPDATE api_key SET last_used_at = last_used_at - interval '61 seconds' WHERE id = ${id}`;
  await keys().findByHash('used-1');
  expect(await at()).toBeGreaterThanOrEqual(first ?? Number.POSITIVE_INFINITY);
});

test('a rotated key keeps name, scopes and length of life; the old one ends after the overlap and never later than before', async () => {
  const { id: projectId } = await newProject('rotate');
  const old = await newKey(projectId, 'rot-1', ['jobs:write']);
  const next = await keys().rotate(projectId, old.id, secret('rot-2'), 3600);
  expect(next).toMatchObject({ name: 'rot-1', scopes: ['jobs:write'], expiresAt: null, projectId });
  const ends = (await keys().get(projectId, old.id))?.expiresAt?.getTime() ?? 0;
  expect(Math.abs(ends - Date.now() - 3_600_000)).toBeLessThan(60_000);
  expect(await keys().findByHash('rot-1')).not.toBeNull();
  expect(await keys().findByHash('rot-2')).not.toBeNull();
  // No overlap: at once. A key that ends in an hour still does, whatever the overlap.
  await keys().rotate(projectId, old.id, secret('rot-3'), 0);
  expect(await keys().findByHash('rot-1')).toBeNull();
  expect(await keys().rotate(projectId, old.id, secret('rot-4'), 0)).toBe('expired');
  const hour = new Date(Date.now() + 3_600_000);
  const limited = await newKey(projectId, 'rot-5', ['read'], hour);
  const renewed = await keys().rotate(projectId, limited.id, secret('rot-6'), 86_400);
  expect((await keys().get(projectId, limited.id))?.expiresAt).toEqual(hour);
  const life = typeof renewed === 'object' ? (renewed?.expiresAt?.getTime() ?? 0) - (renewed?.createdAt.getTime() ?? 0) : 0;
  expect(Math.abs(life - 3_600_000)).toBeLessThan(60_000);
  const other = await newProject('rotate-other');
  expect(await keys().rotate(other.id, limited.id, secret('rot-7'), 0)).toBeNull();
});

test('queued jobs: two creations at once cannot both take the last place; waiting to be started takes none', async () => {
  const { id: projectId } = await newProject('queue', { queued_jobs: 1 });
  const jobs = createJobStore(database);
  const { id: file } = await newFile(projectId, 1);
  const later = await jobs.create(newJob(projectId, file, false));
  const both = await Promise.allSettled([jobs.create(newJob(projectId, file)), jobs.create(newJob(projectId, file))]);
  expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(both.find(({ status }) => status === 'rejected')).toMatchObject({
    reason: { code: 'quota_exceeded', quota: 'queued_jobs', limit: 1, used: 1 },
  });
  if (typeof later === 'string') throw new Error(later);
  await expect(jobs.start(projectId, later.job.id)).rejects.toThrow('queued_jobs');
  expect((await jobs.get(projectId, later.job.id))?.status).toBe('paused');
  expect(await projects().archive(projectId)).toBe('busy');
  await projects().update(projectId, { quotas: { queued_jobs: 2 } });
  expect(await jobs.start(projectId, later.job.id)).toMatchObject({ status: 'queued' });
  expect(await projects().usage(projectId)).toMatchObject({ queuedJobs: 2, runningJobs: 0, storageBytes: 1 });
});

test('storage: files and what pending uploads announced; results are never refused', async () => {
  const { id: projectId } = await newProject('storage', { storage_bytes: 100 });
  await newFile(projectId, 60);
  await expect(newFile(projectId, 41)).rejects.toMatchObject({ quota: 'storage_bytes', limit: 100, used: 60 });
  const uploads = createUploadStore(database);
  const upload = { projectId, filename: 'u', mimeType: 'text/jsonl', keepInvalid: false, fileSeconds: null };
  await expect(uploads.create({ ...upload, id: newId('upload', randomBytes), bytes: 41 }, 60)).rejects.toMatchObject({ used: 60 });
  const pending = await uploads.create({ ...upload, id: newId('upload', randomBytes), bytes: 40 }, 60);
  await expect(newFile(projectId, 1)).rejects.toMatchObject({ used: 100 });
  const file = { id: newId('file', randomBytes), projectId, filename: 'u', purpose: 'fine-tune', bytes: 40, sha256: '', key: 'k' } as const;
  await uploads.complete(pending.id, { ...file, examples: 1, findings: null, lifeSeconds: null });
  await newFile(projectId, 5, 'fine-tune-results');
  expect((await projects().usage(projectId))?.storageBytes).toBe(105);
});

test('device time is what attempts took of this month', async () => {
  const { id: projectId } = await newProject('device', { device_seconds_per_month: 100 });
  const { id: file } = await newFile(projectId, 1);
  const jobs = createJobStore(database);
  const made = await jobs.create(newJob(projectId, file));
  if (typeof made === 'string') throw new Error(made);
  const attempt = (epoch: number, from: string, seconds: number) => database.prisma.$executeRaw`
    INSERT INTO attempt (job_id, epoch, project_id, worker_id, started_at, ended_at)
    SELECT ${made.job.id}, ${epoch}, ${projectId}, 'w', start + ${from}::interval, start + ${from}::interval + ${seconds} * interval '1 second'
    FROM (SELECT date_trunc('month', clock_timestamp(), 'UTC') AS start) month`;
  // Of the one that spans the turn of the month only the later half counts, of the month before nothing.
  await attempt(1, '-1 hour', 60);
  await attempt(2, '-30 seconds', 60);
  await attempt(3, '0 seconds', 69);
  const usage = await projects().usage(projectId);
  expect(usage?.deviceSeconds).toBe(99);
  expect(usage?.periodStart.toISOString()).toMatch(/-01T00:00:00.000Z$/);
  expect(usage?.periodEnd.toISOString()).toMatch(/-01T00:00:00.000Z$/);
  await jobs.create(newJob(projectId, file));
  await attempt(4, '0 seconds', 1);
  await expect(jobs.create(newJob(projectId, file))).rejects.toMatchObject({ quota: 'device_seconds_per_month', limit: 100, used: 100 });
});

test('audit entries are listed newest first, filtered, page by page, and only of the projects asked for', async () => {
  const [mine, theirs] = [await newProject('audit-a'), await newProject('audit-b')];
  const key = await newKey(mine.id, 'audit-1');
  const audit = createAuditStore(database);
  const entry = { keyId: key.id, status: 200, ip: '127.0.0.1', requestId: 'r' };
  const id = () => newId('auditLog', randomBytes);
  // Times are whole milliseconds: what happens in the same one has no order.
  const record = async (added: Parameters<typeof audit.record>[0]) => {
    await audit.record(added);
    await sleep(2);
  };
  for (const resourceId of ['a', 'b', 'c']) await record({ ...entry, id: id(), projectId: mine.id, action: 'file.created', resourceId });
  await record({ ...entry, id: id(), projectId: mine.id, action: 'job.created', resourceId: 'd' });
  await audit.record({ ...entry, id: id(), projectId: theirs.id, action: 'job.created', resourceId: 'e' });
  const list = async (filter: object, page: { limit: number; after?: string } = { limit: 10 }) => {
    const found = await audit.list({ projectIds: [mine.id], ...filter }, page);
    if (found === 'no_cursor') throw new Error(found);
    return found;
  };
  const resources = async (filter: object) => (await list(filter)).items.map(({ resourceId }) => resourceId);
  expect(await resources({})).toEqual(['d', 'c', 'b', 'a']);
  expect(await resources({ projectIds: [theirs.id] })).toEqual(['e']);
  expect(await resources({ actions: ['job.created'] })).toEqual(['d']);
  expect(await resources({ resourceIds: ['a', 'c'] })).toEqual(['c', 'a']);
  expect(await resources({ keyIds: ['key_x'] })).toEqual([]);
  const now = Math.floor(Date.now() / 1000);
  expect(await resources({ from: now - 3600, until: now + 3600 })).toEqual(['d', 'c', 'b', 'a']);
  expect(await resources({ until: now - 3600 })).toEqual([]);
  const first = await list({}, { limit: 3 });
  expect(first).toMatchObject({ hasMore: true, items: [{ projectName: 'audit-a', keyName: 'audit-1' }, {}, {}] });
  const after = first.items[2]?.id ?? '';
  expect((await list({}, { limit: 3, after })).items.map(({ resourceId }) => resourceId)).toEqual(['a']);
  expect(await audit.list({ projectIds: [theirs.id] }, { limit: 3, after })).toBe('no_cursor');
});

test('audit entries are forgotten by their age, the oldest first and not all at once', async () => {
  const url = await postgres.createDatabase();
  const own = openDatabase(url);
  try {
    const key = await createApiKeyStore(own).ensure({ hash: 'h', last4: '1234', name: 'test' });
    const audit = createAuditStore(own);
    for (const days of [40, 31, 29, 0]) {
      const entry = {
        keyId: key.id,
        status: 200,
        ip: '127.0.0.1',
        requestId: 'r',
        action: 'job.created',
        resourceId: String(days),
      } as const;
      const id = newId('auditLog', randomBytes);
      await audit.record({ ...entry, id, projectId: key.projectId });
      await own.prisma.$executeRaw`UPDATE audit_log SET created_at = clock_timestamp() - ${days} * interval '1 day' WHERE id = ${id}`;
    }
    const left = async () => {
      const page = await audit.list({ projectIds: null }, { limit: 10 });
      return page === 'no_cursor' ? page : page.items.map(({ resourceId }) => resourceId);
    };
    expect([await audit.dropOlder(30, 1), await left()]).toEqual([1, ['0', '29', '31']]);
    expect([await audit.dropOlder(30, 10), await left()]).toEqual([1, ['0', '29']]);
    expect(await audit.dropOlder(30, 10)).toBe(0);
  } finally {
    await own.close();
  }
});

test('the dispatcher lets go no more jobs than the project may run', async () => {
  const url = await postgres.createDatabase();
  const own = openDatabase(url);
  const dispatch = createDispatchStore(own, url);
  try {
    const project = await createProjectStore(own).create({
      id: newId('project', randomBytes),
      name: 'capped',
      quotas: { running_jobs: 0 },
    });
    if (project === 'name_taken') throw new Error(project);
    const file = {
      id: newId('file', randomBytes),
      projectId: project.id,
      filename: 'f',
      purpose: 'fine-tune',
      bytes: 1,
      sha256: '',
      key: 'k',
    } as const;
    await createFileStore(own).insert({ ...file, examples: 1, findings: null, lifeSeconds: null });
    await createJobStore(own).create(newJob(project.id, file.id));
    expect((await dispatch.release(1000)).released).toBe(0);
    await createProjectStore(own).update(project.id, { quotas: { running_jobs: 1 } });
    expect((await dispatch.release(1000)).released).toBe(1);
  } finally {
    await dispatch.close();
    await own.close();
  }
});
