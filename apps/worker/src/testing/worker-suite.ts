/** Worker and trainer as processes, real Postgres, queue and objects, a real (tiny) model. Whatever is killed, the adapter has the bytes of the undisturbed run. */
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@rowsmith/contracts';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type StackKind, WorkerStack } from './stack.js';

/** Six micro-steps each: slow enough that a job seen at step 5 is still in its middle when the blow falls. */
const steps = 60;
const lines = Array.from({ length: 24 }, (_, i) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: `say ${i}` },
      { role: 'assistant', content: `${i}, ${i}` },
    ],
  }),
);

export function workerSuite(kind: StackKind): void {
  // Seconds on a quiet machine; a trainer beside seven others takes minutes.
  vi.setConfig({ testTimeout: 240_000 });
  let stack: WorkerStack;
  let undisturbed: Record<string, string>;

  beforeAll(async () => {
    stack = await WorkerStack.start(kind);
  });
  afterAll(() => stack.stop());
  // A test that failed leaves its workers; they would take the next one's jobs.
  afterEach(() => stack.endWorkers());

  /** Every step once, in order: no gap and no repeat. */
  async function expectWholeMetrics(id: string): Promise<void> {
    const points = (await stack.metrics(id)).filter(({ train_loss }) => train_loss !== null);
    expect(points.map(({ step }) => step)).toEqual(Array.from({ length: steps }, (_, i) => i + 1));
  }

  test('a job goes through: metrics, samples, checkpoints, a verified adapter', async () => {
    const worker = stack.startWorker();
    const job = await stack.finished((await stack.createJob(lines, steps)).id);
    expect(job.error).toBeNull();
    expect(job).toMatchObject({
      status: 'succeeded',
      epoch: 1,
      step: steps,
      totalSteps: steps,
      fineTunedModel: `ft:tiny:${job.projectId}::${job.id}`,
    });
    await expectWholeMetrics(job.id);
    const points = await stack.metrics(job.id);
    const valid = points.filter(({ valid_loss }) => valid_loss !== null);
    expect(valid.map(({ step }) => step)).toEqual([0, 20, 40, 60]);
    expect(valid.at(-1)?.valid_loss).toBeLessThan(valid[0]?.valid_loss ?? 0);

    const events = await stack.events(job.id);
    const types = new Set(events.map(({ data }) => data['type']));
    for (const type of [
      'job.created',
      'job.running',
      'phase',
      'attempt.started',
      'sample',
      'metrics',
      'checkpoint.created',
      'adapter.created',
      'job.succeeded',
    ])
      expect(types).toContain(type);
    expect(events.flatMap(({ data }) => (data['type'] === 'sample' ? [data['when']] : []))).toEqual(['before', 'after']);

    const manifest = await stack.manifest(job);
    expect(manifest).toMatchObject({ rank: 3, step: steps, verification: { max_abs_error: 0, modules: 6 } });
    expect(manifest.files.map(({ name }) => name)).toEqual([
      'README.md',
      'adapter_config.json',
      'adapter_model.safetensors',
      'rows.safetensors',
      'rowsmith.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    undisturbed = await stack.adapterHashes(job);

    expect((await stack.checkpoints(job.id)).map(({ step }) => step)).toEqual(Array.from({ length: steps }, (_, i) => steps - i));
    expect(await stack.end(worker, 'SIGTERM')).toBe(0);
  });

  test('the trainer is killed with -9 in the middle: another attempt, the same bytes', async () => {
    const worker = stack.startWorker();
    const { id } = await stack.createJob(lines, steps);
    await stack.until(id, ({ step }) => step >= 5);
    process.kill((await stack.trainerPid(worker)) ?? 0, 'SIGKILL');
    const job = await stack.finished(id);
    expect(job).toMatchObject({ status: 'succeeded', epoch: 2 });
    expect(await stack.adapterHashes(job)).toEqual(undisturbed);
    await expectWholeMetrics(id);
    const lost = (await stack.events(id)).find(({ data }) => data['type'] === 'attempt.lost');
    expect(lost?.data).toMatchObject({ code: 'trainer_killed', attempt: 1 });
    await stack.end(worker, 'SIGTERM');
  });

  test('the worker is killed with -9 in the middle: its trainer dies with it, the next worker goes on, the same bytes', async () => {
    const workerId = newId('worker', randomBytes);
    const first = stack.startWorker(workerId);
    const { id } = await stack.createJob(lines, steps);
    await stack.until(id, ({ step }) => step >= 5);
    const trainer = (await stack.trainerPid(first)) ?? 0;
    await stack.end(first, 'SIGKILL');
    const second = stack.startWorker(workerId);
    const job = await stack.finished(id);
    expect(job).toMatchObject({ status: 'succeeded', epoch: 2 });
    expect(() => process.kill(trainer, 0)).toThrow(/ESRCH/);
    expect(await stack.adapterHashes(job)).toEqual(undisturbed);
    await expectWholeMetrics(id);
    expect(await readdir(join(stack.dataDir, 'scratch'))).toHaveLength(1);
    await stack.end(second, 'SIGTERM');
  });

  test('SIGTERM in the middle: checkpoint and handback, no step lost, the same bytes', async () => {
    const first = stack.startWorker();
    const { id } = await stack.createJob(lines, steps, { checkpoint_every_seconds: 3600 });
    await stack.until(id, ({ step }) => step >= 5);
    expect(await stack.end(first, 'SIGTERM')).toBe(0);
    const waiting = await stack.job(id);
    expect(waiting).toMatchObject({ status: 'queued', epoch: 1 });
    const saved = (await stack.checkpoints(id)).map(({ step }) => step);
    expect(saved).toEqual([waiting.step]);
    const second = stack.startWorker();
    const job = await stack.finished(id);
    expect(job).toMatchObject({ status: 'succeeded', epoch: 2 });
    // checkpoint_every_seconds is part of the configuration, not of the adapter.
    expect(await stack.adapterHashes(job)).toEqual(undisturbed);
    await expectWholeMetrics(id);
    await stack.end(second, 'SIGTERM');
  });

  test('a damaged newest checkpoint is passed over for the one before, the same bytes', async () => {
    const first = stack.startWorker();
    const { id } = await stack.createJob(lines, steps);
    await stack.until(id, ({ step }) => step >= 8);
    await stack.end(first, 'SIGTERM');
    const [newest, older] = await stack.checkpoints(id);
    const optimizer = (newest?.manifestKey ?? '').replace('manifest.json', 'optimizer.safetensors');
    const damaged = Buffer.from((await stack.objects.getBytes(optimizer)) ?? []);
    damaged[damaged.length - 100] = (damaged.at(-100) as number) ^ 1;
    await stack.objects.put(optimizer, damaged);
    const second = stack.startWorker();
    const job = await stack.finished(id);
    expect(job).toMatchObject({ status: 'succeeded', epoch: 2 });
    expect(await stack.adapterHashes(job)).toEqual(undisturbed);
    await expectWholeMetrics(id);
    const events = await stack.events(id);
    expect(events.filter(({ data }) => data['code'] === 'checkpoint_rejected').map(({ data }) => data['manifest_key'])).toEqual([
      newest?.manifestKey,
    ]);
    expect(events.some(({ message }) => message === `Goes on after step ${older?.step}`)).toBe(true);
    await stack.end(second, 'SIGTERM');
  });

  test('connections to the database are cut again and again: the same attempt, nothing lost', async () => {
    const worker = stack.startWorker();
    const { id } = await stack.createJob(lines, steps);
    let cut = 0;
    for (const step of [5, 15, 25, 35]) {
      await stack.until(id, (job) => job.step >= step);
      cut += await stack.cutConnections();
    }
    expect(cut).toBeGreaterThan(0);
    const job = await stack.finished(id);
    expect(job).toMatchObject({ status: 'succeeded', epoch: 1 });
    expect(await stack.adapterHashes(job)).toEqual(undisturbed);
    await expectWholeMetrics(id);
    expect(await stack.end(worker, 'SIGTERM')).toBe(0);
  });

  test('cancel in the middle: stopped, nothing published, the worker takes the next job', async () => {
    const worker = stack.startWorker();
    const { id } = await stack.createJob(lines, 5000);
    await stack.until(id, ({ step }) => step >= 5);
    await stack.cancel(id);
    const job = await stack.finished(id);
    expect(job).toMatchObject({ status: 'cancelled', epoch: 1, adapterManifestKey: null });
    expect(job.step).toBeLessThan(5000);
    const next = await stack.finished((await stack.createJob(lines, steps)).id);
    expect(await stack.adapterHashes(next)).toEqual(undisturbed);
    await stack.end(worker, 'SIGTERM');
  });

  test('pause in the middle: a checkpoint, the place free for another job; resume goes on from it, the same bytes', async () => {
    const worker = stack.startWorker();
    const { id } = await stack.createJob(lines, steps, { checkpoint_every_seconds: 3600 });
    await stack.until(id, ({ step }) => step >= 5);
    expect(await stack.pause(id)).toMatchObject({ status: 'pausing' });
    const paused = await stack.until(id, ({ status }) => status === 'paused');
    expect((await stack.checkpoints(id)).map(({ step }) => step)).toEqual([paused.step]);
    const between = await stack.finished((await stack.createJob(lines, 2)).id);
    expect(between.status).toBe('succeeded');
    expect(await stack.job(id)).toMatchObject({ status: 'paused', epoch: 1 });
    await stack.resume(id);
    const job = await stack.finished(id);
    expect(job).toMatchObject({ status: 'succeeded', epoch: 2 });
    expect(await stack.outcomes(id)).toEqual(['paused', 'succeeded']);
    expect(await stack.adapterHashes(job)).toEqual(undisturbed);
    await expectWholeMetrics(id);
    await stack.end(worker, 'SIGTERM');
  });

  test('a checkpoint that is asked for: one for many wishes, still owed after the attempt was killed, the same bytes', async () => {
    const worker = stack.startWorker();
    const { id } = await stack.createJob(lines, steps, { checkpoint_every_seconds: 3600 });
    await stack.until(id, ({ step }) => step >= 5);
    const saved = async () => (await stack.checkpoints(id)).map(({ step }) => step);
    const asked = await Promise.all([1, 2, 3].map(() => stack.requestCheckpoint(id)));
    expect(asked).toEqual(asked.map(() => expect.objectContaining({ status: 'running' })));
    while ((await saved()).length === 0) await new Promise((next) => setTimeout(next, 20));
    const [early = 0] = await saved();
    expect(early).toBeGreaterThanOrEqual(5);
    expect(early).toBeLessThan(steps);
    const { step } = await stack.until(id, (job) => job.step > early);
    // Between the wish and its beat, or before the checkpoint is stored: whenever the blow falls, somebody makes it.
    await stack.requestCheckpoint(id);
    process.kill((await stack.trainerPid(worker)) ?? 0, 'SIGKILL');
    const job = await stack.finished(id);
    expect(job).toMatchObject({ status: 'succeeded', epoch: 2 });
    const all = (await saved()).toReversed();
    expect(all).toHaveLength(3);
    expect(all).toEqual([early, expect.any(Number), steps]);
    expect(all[1]).toBeGreaterThanOrEqual(step);
    expect(await stack.adapterHashes(job)).toEqual(undisturbed);
    await expectWholeMetrics(id);
    expect(await stack.requestCheckpoint(id)).toBe('not_running');
    await stack.end(worker, 'SIGTERM');
  });

  test('a job of higher priority takes the place: checkpoint, no attempt counted, the lower one goes on after it, the same bytes', async () => {
    const worker = stack.startWorker();
    const { id } = await stack.createJob(lines, steps, { checkpoint_every_seconds: 3600 }, { priority: 10 });
    await stack.until(id, ({ step }) => step >= 5);
    await stack.age(id);
    const urgent = await stack.createJob(lines, 2, {}, { priority: 90 });
    expect(await stack.finished(urgent.id)).toMatchObject({ status: 'succeeded', epoch: 1 });
    const job = await stack.finished(id);
    expect(job).toMatchObject({ status: 'succeeded', epoch: 2 });
    expect(await stack.outcomes(id)).toEqual(['preempted', 'succeeded']);
    expect(job.finishedAt?.getTime()).toBeGreaterThan((await stack.job(urgent.id)).finishedAt?.getTime() ?? 0);
    expect(await stack.adapterHashes(job)).toEqual(undisturbed);
    await expectWholeMetrics(id);
    await stack.end(worker, 'SIGTERM');
  });

  test('a job stops when its time is over, with what it saved, and is not tried again', async () => {
    const worker = stack.startWorker();
    const { id } = await stack.createJob(lines, 100_000, { checkpoint_every_seconds: 3600 }, { maxDurationSeconds: 5 });
    const job = await stack.finished(id);
    expect(job).toMatchObject({ status: 'failed', epoch: 1, error: { code: 'max_duration_exceeded', param: 'max_duration_seconds' } });
    expect((await stack.checkpoints(id)).map(({ step }) => step)).toEqual(job.step > 0 ? [job.step] : []);
    await stack.end(worker, 'SIGTERM');
  });

  test('workers are in the registry while they live', async () => {
    const id = newId('worker', randomBytes);
    const worker = stack.startWorker(id);
    const alive = async () => (await stack.workers()).find((w) => w.id === id)?.alive;
    await stack.finished((await stack.createJob(lines, 2)).id);
    expect(await alive()).toBe(true);
    await stack.end(worker, 'SIGTERM');
    expect(await alive()).toBe(false);
  });

  test('data without anything to learn: failed at once, with the line, and not tried again', async () => {
    const worker = stack.startWorker();
    const long = {
      messages: [
        { role: 'user', content: 'x'.repeat(100) },
        { role: 'assistant', content: 'y' },
      ],
    };
    const job = await stack.finished((await stack.createJob([JSON.stringify(long)], steps)).id);
    expect(job).toMatchObject({ status: 'failed', epoch: 1, error: { param: 'training_file' } });
    expect(job.error?.message).toMatch(/^No example has a token to learn\. Line 1: .*max_seq_length/);
    await stack.end(worker, 'SIGTERM');
  });
}
