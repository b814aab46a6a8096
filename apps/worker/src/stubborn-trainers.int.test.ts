/** Trainers that die again and again, and trainers that do not listen: real ones, stopped or killed from outside. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { WorkerStack } from './testing/stack.js';

vi.setConfig({ testTimeout: 120_000 });
const lines = Array.from({ length: 8 }, (_, i) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: `say ${i}` },
      { role: 'assistant', content: `${i}` },
    ],
  }),
);
let stack: WorkerStack;
beforeAll(async () => {
  stack = await WorkerStack.start({ queue: 'postgres', objects: 'fs' });
});
afterAll(() => stack.stop());
afterEach(() => stack.endWorkers());

test('three trainers that die without a checkpoint are poison; the next job on the same worker is unharmed', async () => {
  const worker = stack.startWorker();
  const { id } = await stack.createJob(lines, 40);
  for (const epoch of [1, 2, 3]) {
    await stack.until(id, (job) => job.epoch === epoch && job.status === 'running');
    let trainer: number | null = null;
    while (trainer === null) trainer = await stack.trainerPid(worker);
    process.kill(trainer, 'SIGKILL');
    await stack.until(id, (job) => job.epoch > epoch || job.status !== 'running');
  }
  expect(await stack.finished(id)).toMatchObject({ status: 'failed', epoch: 3, error: { code: 'poison' } });
  expect(await stack.outcomes(id)).toEqual(['failed', 'failed', 'failed']);
  const neighbour = await stack.createJob(lines, 2);
  expect(await stack.finished(neighbour.id)).toMatchObject({ status: 'succeeded', epoch: 1 });
  expect(await stack.end(worker, 'SIGTERM')).toBe(0);
});

test('a trainer that does not listen to a cancel is ended by its worker', async () => {
  const worker = stack.startWorker(undefined, { ROWSMITH_STOP_GRACE_SECONDS: '0' });
  const { id } = await stack.createJob(lines, 400);
  await stack.until(id, ({ step }) => step >= 2);
  const trainer = (await stack.trainerPid(worker)) ?? 0;
  process.kill(trainer, 'SIGSTOP');
  await stack.cancel(id);
  const job = await stack.finished(id);
  expect(job).toMatchObject({ status: 'cancelled', epoch: 1, adapterManifestKey: null });
  expect(await stack.trainerPid(worker)).toBeNull();
  expect(() => process.kill(trainer, 0)).toThrow(/ESRCH/);
  expect(await stack.end(worker, 'SIGTERM')).toBe(0);
});
