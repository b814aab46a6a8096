import { randomBytes } from 'node:crypto';
import { newId } from '@rowsmith/contracts';
import { createWorkerStore, openDatabase } from '@rowsmith/db';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());

const slots = async (query: string) => (await api.inject('GET', `/v1/fleet/slots?${query}`)).json<{ slots: number }>().slots;
async function create(body: object) {
  const file = await api.uploadExamples();
  const payload = { model: api.modelId, training_file: file.id, ...body };
  return api.app.inject({ method: 'POST', url: '/jobs', headers: api.headers(), payload });
}

test('wanted slots follow the jobs of a class', async () => {
  expect(await slots('device_class=cpu&any=true')).toBe(0);
  const any = await create({});
  expect(any.json()).toMatchObject({ device_class: null });
  const cuda = await create({ device_class: 'cuda' });
  expect(cuda.json()).toMatchObject({ device_class: 'cuda' });
  expect([await slots('device_class=cpu'), await slots('device_class=cpu&any=true'), await slots('device_class=cuda')]).toEqual([0, 1, 1]);
  const { id } = cuda.json<{ id: string }>();
  await api.app.inject({ method: 'POST', url: `/jobs/${id}/cancel`, headers: api.headers() });
  expect(await slots('device_class=cuda')).toBe(0);
});

test('workers are listed with what they run, without ids of jobs', async () => {
  const database = openDatabase(api.databaseUrl);
  const id = newId('worker', randomBytes);
  await createWorkerStore(database).beat({ id, deviceClass: 'cuda', slots: 1, version: '1', host: 'node-7', skewMs: 3 });
  await database.close();
  const answer = await api.inject('GET', '/fleet/workers');
  expect(answer.json<{ data: unknown[] }>().data).toEqual([
    expect.objectContaining({ object: 'worker', id, device_class: 'cuda', alive: true, clock_skew_ms: 3, running: 0 }),
  ]);
  expect(answer.payload).not.toContain('ftjob-');
});

test('a class that is none is refused', async () => {
  expect((await api.inject('GET', '/fleet/slots?device_class=CUDA')).statusCode).toBe(400);
  expect((await create({ device_class: 'no class' })).json<{ error: { param: string } }>().error.param).toBe('device_class');
});
