/** The loop with the real tables and queue: what a worker sees of it. */
import { createWakeConsumer } from '@rowsmith/queue';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.js';

const staleMs = 1_500;
const wakes: string[] = [];
let api: TestApi;
let closeConsumer: () => Promise<void>;
beforeAll(async () => {
  api = await openTestApi({ control: { everyMs: 50, staleMs } });
  const timing = { lockMs: 1_500, stalledEveryMs: 1_000, drainSeconds: 1, clockEveryMs: 5_000 };
  const consumer = await createWakeConsumer({ databaseUrl: api.databaseUrl }, async (jobId) => void wakes.push(jobId), { timing });
  closeConsumer = () => consumer.close(true);
});
afterAll(async () => {
  await closeConsumer();
  await api.close();
});
const patience = { timeout: 20_000, interval: 20 };
const types = async (id: string) =>
  (await api.inject('GET', `/jobs/${id}/events?limit=100`)).json().data.map((e: { data: { type: string } }) => e.data.type);

test('a created job reaches a worker; one whose worker fell silent is announced again and goes on', async () => {
  const file = await api.uploadExamples();
  const { id } = await api.createJob(file.id);
  await vi.waitFor(() => expect(wakes).toContain(id), patience);
  // The worker takes it and is never heard of again.
  const lost = await api.begin(id);
  await vi.waitFor(async () => expect(await api.getJob(id)).toMatchObject({ status: 'queued', progress: { attempt: 1 } }), patience);
  expect(await types(id)).toContain('attempt.lost');
  // What the old attempt still writes is not taken.
  expect(await lost.cancelled()).toBe('fenced');
  wakes.length = 0;
  await vi.waitFor(() => expect(wakes).toContain(id), patience);
  await api.succeed(id, 1);
  expect(await api.getJob(id)).toMatchObject({ status: 'succeeded', progress: { attempt: 2 } });
});

test('the result file of a job that nobody reads is made all the same', async () => {
  const file = await api.uploadExamples();
  const { id } = await api.createJob(file.id);
  await api.succeed(id, 2);
  const results = async () =>
    (await api.inject('GET', '/files?purpose=fine-tune-results')).json().data.map((f: { filename: string }) => f.filename);
  await vi.waitFor(async () => expect(await results()).toContain(`${id}-metrics.csv`), patience);
});
