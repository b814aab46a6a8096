/** POST .../checkpoints: what a worker hears of it, and when there is nobody to make one. The trainer's side is in apps/worker. */
import { randomBytes } from 'node:crypto';
import { newId } from '@rowsmith/contracts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pointOf } from '../testing/finish-job.js';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
let trainingFile = '';
beforeAll(async () => {
  api = await openTestApi();
  trainingFile = (await api.uploadExamples()).id;
});
afterAll(() => api.close());

const ask = (id: string, prefix = '/jobs') => api.inject('POST', `${prefix}/${id}/checkpoints`);
const types = async (id: string) =>
  (await api.inject('GET', `/jobs/${id}/events?limit=100`)).json().data.map((e: { data: { type: string } }) => e.data.type);

test("a running job's worker hears of it once, however often it is asked for, until the checkpoint is there", async () => {
  const { id } = await api.createJob(trainingFile);
  const { attempts } = api.worker;
  const attempt = await attempts.begin(id, newId('worker', randomBytes));
  if (attempt === 'not_runnable') throw new Error(attempt);
  const { epoch } = attempt;
  const owed = async () => (await attempts.heartbeat(id, epoch)).wantedCheckpoint;
  await attempts.metrics(id, epoch, [pointOf(1)]);
  for (const prefix of ['/jobs', '/v1/fine_tuning/jobs', '/jobs']) {
    const answer = await ask(id, prefix);
    expect([answer.statusCode, answer.json()]).toEqual([200, await api.getJob(id)]);
  }
  expect(await owed()).toBe(1);
  const metrics = { step: 2, train_loss: 1 };
  await attempts.metrics(id, epoch, [pointOf(2)]);
  await attempts.checkpoint(id, epoch, { step: 2, manifestKey: `jobs/${id}/2.json`, manifestSha256: 'e'.repeat(64), metrics });
  expect(await owed()).toBeNull();
  // Step 2 is saved: another wish has nothing to add.
  expect((await ask(id)).statusCode).toBe(200);
  expect(await owed()).toBeNull();
  expect((await types(id)).filter((type: string) => type.startsWith('checkpoint'))).toEqual(['checkpoint.created']);
  await api.inject('POST', `/jobs/${id}/cancel`);
  const late = await ask(id);
  expect([late.statusCode, late.json().error.message]).toEqual([409, expect.stringContaining('is being cancelled')]);
  await attempts.cancelled(id, epoch);
  expect((await ask(id)).json().error.message).toContain('is cancelled');
  const log = await api.inject('GET', '/organization/audit_logs?event_types[]=job.checkpoint_requested');
  expect(log.json().data.map((entry: { resource_id: string }) => entry.resource_id)).toEqual([id, id, id, id]);
});

test('a job that no worker runs: 409, which no SDK tries again', async () => {
  const { id } = await api.createJob(trainingFile);
  for (const status of ['queued', 'paused']) {
    if (status === 'paused') await api.inject('POST', `/jobs/${id}/pause`);
    const refused = await ask(id);
    expect([refused.statusCode, refused.headers['x-should-retry']]).toEqual([409, 'false']);
    expect(refused.json().error).toMatchObject({ code: 'job_not_running', param: 'id', message: expect.stringContaining(`is ${status}`) });
  }
  expect((await ask('ftjob-none')).statusCode).toBe(404);
});
