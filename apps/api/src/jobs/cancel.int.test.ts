/** Who cancels waits for the row in the database alone, not for the queue or the store, which are silent here: whatever asks them hears nothing. */
import { type FaultProxy, startFaultProxy, startRedis, startS3, type TestRedis, type TestS3 } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let redis: TestRedis;
let s3: TestS3;
let ways: FaultProxy[];
let api: TestApi;
const portOf = (url: string) => Number(new URL(url).port);

beforeAll(async () => {
  [redis, s3] = await Promise.all([startRedis(), startS3()]);
  const [toRedis, toS3] = await Promise.all([startFaultProxy(portOf(redis.url)), startFaultProxy(portOf(s3.endpoint))]);
  ways = [toRedis, toS3];
  for (const [name, value] of Object.entries(s3.credentials)) vi.stubEnv(name, value);
  api = await openTestApi({
    env: {
      ...{ REDIS_URL: `redis://127.0.0.1:${toRedis.port}`, ROWSMITH_STORAGE: 's3' },
      ...{ ROWSMITH_S3_ENDPOINT: `http://127.0.0.1:${toS3.port}`, ROWSMITH_S3_BUCKET: 'cancel' },
    },
  });
});
afterAll(async () => {
  for (const way of ways) way.silence(false);
  await api.close();
  await Promise.all([...ways.map((way) => way.stop()), redis.stop(), s3.stop()]);
  vi.unstubAllEnvs();
});

test('a waiting and a running job are cancelled while queue and store are silent', async () => {
  const file = await api.uploadExamples();
  const [waiting, running] = [await api.createJob(file.id), await api.createJob(file.id)];
  const attempt = await api.begin(running.id);
  for (const way of ways) way.silence(true);
  const cancel = async (id: string) => (await api.inject('POST', `/jobs/${id}/cancel`)).json();
  expect(await cancel(waiting.id)).toMatchObject({ status: 'cancelled', finished_at: expect.any(Number) });
  expect(await cancel(running.id)).toMatchObject({ status: 'running', finished_at: null });
  expect(await attempt.heartbeat()).toBe('cancel');
  await attempt.cancelled();
  expect((await cancel(running.id)).error).toMatchObject({ code: 'job_already_finished' });
});
