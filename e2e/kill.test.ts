/** Killed with -9 in the middle, a job goes on by itself from its last checkpoint and ends with the same adapter bytes. */
import type { JobEvent, JobObject, MetricPoint } from '@rowsmith/contracts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { childrenOf, newDataDir, type Running, removeDataDir, up } from './support/installation.js';
import { adapterSha256, finish, post, shortJob, uploadExample } from './support/jobs.js';

const steps = 6;
let dataDir = '';
let service: Running;
let trainingFile = '';
let undisturbed = '';

beforeAll(async () => {
  dataDir = await newDataDir();
  service = await up(dataDir);
  trainingFile = (await uploadExample(service, 'train', 8)).id;
  const job = await service.json<JobObject>('/jobs', post(shortJob(trainingFile, steps)));
  expect((await finish(service, job.id)).status).toBe('succeeded');
  undisturbed = await adapterSha256(service, job.id);
});
afterAll(async () => {
  await service.stop();
  await removeDataDir(dataDir);
});

/** The worker of the moment: `up` starts a new one after a kill. */
async function workerPid(): Promise<number> {
  const { readFile } = await import('node:fs/promises');
  for (const pid of await childrenOf(service.process.pid ?? 0).then(async (pids) => [
    ...pids,
    ...(await Promise.all(pids.map(childrenOf))).flat(),
  ])) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes('apps/worker/dist/main.js')) return pid;
  }
  throw new Error('no worker process');
}
async function trainerPid(): Promise<number> {
  const [pid] = await childrenOf(await workerPid());
  if (pid === undefined) throw new Error('no trainer process');
  return pid;
}

describe.each([
  ['the trainer', trainerPid],
  ['the worker', workerPid],
])('kill -9 of %s', (_name, victim) => {
  test('same bytes, no gap and no repeat in the metrics', async () => {
    const job = await service.json<JobObject>('/jobs', post(shortJob(trainingFile, steps)));
    let killed = 0;
    const done = await finish(service, job.id, async (event: JobEvent) => {
      if (killed === 0 && event.type === 'metrics' && event.data['step'] === 3) {
        killed = await victim();
        process.kill(killed, 'SIGKILL');
      }
    });
    expect(killed).toBeGreaterThan(0);
    expect(done.error).toBeNull();
    expect(done.status).toBe('succeeded');
    expect(done.progress.attempt).toBeGreaterThan(1);
    expect(await adapterSha256(service, job.id)).toBe(undisturbed);
    const metrics = await service.json<{ data: MetricPoint[] }>(`/jobs/${job.id}/metrics`);
    const trained = metrics.data.filter((p) => p.train_loss !== null).map((p) => p.step);
    expect(trained).toEqual(Array.from({ length: steps }, (_, i) => i + 1));
  });
});

test('Ctrl-C in the middle, then a new start: the job goes on and ends with the same bytes', async () => {
  const job = await service.json<JobObject>('/jobs', post(shortJob(trainingFile, steps)));
  await finish(service, job.id, async (event) => {
    if (event.type === 'metrics' && event.data['step'] === 2) service.process.kill('SIGINT');
  }).catch(() => undefined);
  await new Promise((gone) => (service.process.exitCode === null ? service.process.once('close', gone) : gone(null)));
  expect(service.process.exitCode).toBe(0);
  service = await up(dataDir);
  expect((await finish(service, job.id)).status).toBe('succeeded');
  expect(await adapterSha256(service, job.id)).toBe(undisturbed);
});
