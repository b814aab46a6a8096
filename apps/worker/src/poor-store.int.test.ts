/** A real job on a store that is far away, thin, overloaded and forgetful at once. Seconds here; with 5 s of latency in `npm run goals`. */
import { type FaultProxy, makePoor, type RefusingHttp, startFaultProxy, startRefusingHttp } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WorkerStack } from './testing/stack.js';

const steps = 6;
const lines = Array.from({ length: 12 }, (_, i) => JSON.stringify({ prompt: `say ${i}: `, completion: `${i}, ${i}` }));
let stack: WorkerStack;
let refusing: RefusingHttp;
let proxy: FaultProxy;
beforeAll(async () => {
  stack = await WorkerStack.start({ queue: 'redis', objects: 's3' });
  refusing = await startRefusingHttp(Number(new URL(stack.s3Endpoint ?? '').port));
  proxy = await startFaultProxy(refusing.port);
});
afterAll(async () => {
  await proxy.stop();
  await refusing.stop();
  await stack.stop();
});

test('latency, 1 MB/s, 30 % of 503 and answers lost after the store had done it: one attempt, the same bytes', async () => {
  const worker = stack.startWorker(undefined, { ROWSMITH_S3_ENDPOINT: `http://127.0.0.1:${proxy.port}` });
  const quiet = await stack.finished((await stack.createJob(lines, steps)).id);
  expect(quiet.status).toBe('succeeded');
  const store = makePoor(proxy, refusing, { latencyMs: 25, bytesPerSecond: 1e6 });
  const job = await stack.finished((await stack.createJob(lines, steps)).id);
  store.heal();
  expect(job).toMatchObject({ status: 'succeeded', epoch: 1, error: null });
  // Of the 18 objects of its checkpoints alone five must have been refused at first.
  expect([store.refused >= 5, store.lost >= 1]).toEqual([true, true]);
  expect(await stack.outcomes(job.id)).toEqual(['succeeded']);
  expect(await stack.adapterHashes(job)).toEqual(await stack.adapterHashes(quiet));
  const points = (await stack.metrics(job.id)).filter(({ train_loss }) => train_loss !== null);
  expect(points.map(({ step }) => step)).toEqual(Array.from({ length: steps }, (_, i) => i + 1));
  expect(await stack.end(worker, 'SIGTERM')).toBe(0);
}, 240_000);
