/** What is decided before a job is queued: estimates, jobs that wait to be started, clones, weights and splits, keys that expire. */
import type { JobEstimate, JobObject } from '@rowsmith/contracts';
import { openDatabase } from '@rowsmith/db';
import { addTinyModel } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chatRow, examplesJsonl, formOf, openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
let trainingFile = '';
beforeAll(async () => {
  api = await openTestApi({ control: { everyMs: 50 } });
  trainingFile = (await api.uploadExamples()).id;
});
afterAll(() => api.close());

const post = async <T = JobObject>(url: string, payload?: object, headers: Record<string, string> = {}) => {
  const request = { method: 'POST' as const, url, headers: { ...api.headers(), ...headers } };
  const answer = await api.app.inject(payload ? { ...request, payload } : request);
  return { status: answer.statusCode, body: answer.json<T & { error: { code: string; param: string; message: string } }>() };
};
const create = (body: object, headers: Record<string, string> = {}) =>
  post('/jobs', { model: api.modelId, training_file: trainingFile, ...body }, headers);
const upload = async (content: string, fields: Record<string, string> = {}) => {
  const form = formOf([
    ...Object.entries({ purpose: 'fine-tune', ...fields }).map(([name, value]) => ({ name, content: value })),
    { name: 'file', filename: 'rows.jsonl', content },
  ]);
  const answer = await api.app.inject({
    method: 'POST',
    url: '/files',
    headers: { ...api.headers(), ...form.headers },
    payload: form.body,
  });
  return { status: answer.statusCode, body: answer.json() };
};
const jobsSoFar = async () => (await api.inject('GET', '/jobs?limit=100')).json().data.length;

test('a job that is not started waits as paused, cannot be run, and is queued by start', async () => {
  const { status, body } = await create({ auto_start: false, priority: 90, max_duration_seconds: 3600 });
  expect([status, body.status, body.priority, body.max_duration_seconds]).toEqual([200, 'paused', 90, 3600]);
  await expect(api.begin(body.id)).rejects.toThrow('cannot be run');
  expect(await post(`/jobs/${body.id}/start`)).toMatchObject({ status: 200, body: { status: 'queued' } });
  expect(await post(`/v1/fine_tuning/jobs/${body.id}/start`)).toMatchObject({ status: 200, body: { status: 'queued' } });
  await api.inject('POST', `/jobs/${body.id}/pause`);
  expect(await post(`/jobs/${body.id}/start`)).toMatchObject({ status: 400, body: { error: { code: 'job_paused' } } });
  await api.inject('POST', `/jobs/${body.id}/cancel`);
  expect(await post(`/jobs/${body.id}/start`)).toMatchObject({ status: 400, body: { error: { code: 'job_already_finished' } } });
  // The SDKs know no start: resume does the same.
  const other = await create({ auto_start: false });
  expect(await post(`/jobs/${other.body.id}/resume`)).toMatchObject({ status: 200, body: { status: 'queued' } });
});

test.each([
  [{ method: { type: 'dpo', dpo: { hyperparameters: { beta: 0.1 } } } }, 'method.type'],
  [{ method: { type: 'reinforcement', reinforcement: { grader: {} } } }, 'method.type'],
  [{ device: 'tpu' }, 'device'],
  [{ device: 'cuda', device_class: 'cpu' }, 'device_class'],
  [{ priority: 0 }, 'priority'],
  [{ priority: 101 }, 'priority'],
  [{ max_duration_seconds: 1 }, 'max_duration_seconds'],
  [{ auto_start: 'no' }, 'auto_start'],
  [{ validation_split: 0.6 }, 'validation_split'],
  [{ training_files: [{ file: 'file-x', weight: 0 }] }, 'training_files[0].weight'],
  [{ training_files: [{ file: 'file-x' }] }, 'training_files'],
  [{ training_file: undefined }, 'training_file'],
  [{ training_file: undefined, training_files: [{ file: 'file-x' }] }, 'training_files[0].file'],
])('%j is refused by creation and estimate alike', async (change, param) => {
  const before = await jobsSoFar();
  const body = { model: api.modelId, training_file: trainingFile, ...change };
  for (const url of ['/jobs', '/jobs/estimate']) expect(await post(url, body)).toMatchObject({ status: 400, body: { error: { param } } });
  expect(await jobsSoFar()).toBe(before);
});

test('several files with weights and a held-out part: steps and the echoed request', async () => {
  const other = (await upload(examplesJsonl(30))).body.id;
  const files = [{ file: trainingFile }, { file: other, weight: 0.5 }];
  const body = { training_file: undefined, training_files: files, validation_split: 0.2, hyperparameters: { n_epochs: 2, batch_size: 4 } };
  const job = (await create(body)).body;
  expect(job).toMatchObject({
    training_file: trainingFile,
    training_files: [
      { file: trainingFile, weight: 1 },
      { file: other, weight: 0.5 },
    ],
    validation_file: null,
    validation_split: 0.2,
  });
  // 8 rows less 2, and half of 30 less 6: 6 + 12 = 18 rows, 5 batches of up to 4, 2 epochs.
  expect(job.progress.total_steps).toBe(10);
  // Every file of the job is in use, not only the first.
  expect((await api.inject('DELETE', `/files/${other}`)).statusCode).toBe(409);
  await api.inject('POST', `/jobs/${job.id}/cancel`);
  expect((await api.inject('DELETE', `/files/${other}`)).statusCode).toBe(200);
  const plain = (await create({})).body;
  expect(plain).toMatchObject({ training_files: [{ file: trainingFile, weight: 1 }], validation_split: null });
});

test('a file with bad lines is refused, or kept with a report and used by jobs that allow its share of bad lines', async () => {
  const content = `${examplesJsonl(9)}{"messages": []}\n`;
  expect(await upload(content)).toMatchObject({ status: 400, body: { error: { code: 'invalid_training_file' } } });
  const kept = await upload(content, { on_invalid: 'keep' });
  expect(kept).toMatchObject({ status: 200, body: { status: 'error', status_details: expect.stringContaining('1 lines') } });
  const report = (await api.inject('GET', `/v1/files/${kept.body.id}/report`)).json();
  expect(report).toMatchObject({
    object: 'file.report',
    examples: 9,
    bad_lines: 1,
    errors: [{ line: 10, code: 'empty', param: 'messages' }],
    tokens: null,
  });
  const training = { training_file: kept.body.id };
  expect(await create(training)).toMatchObject({ status: 400, body: { error: { code: 'invalid_training_file', param: 'training_file' } } });
  expect(await create({ ...training, invalid_sample_skip_percentage: 9 })).toMatchObject({ status: 400 });
  expect(await create({ ...training, invalid_sample_skip_percentage: 10 })).toMatchObject({
    status: 200,
    body: { invalid_sample_skip_percentage: 10, progress: { total_steps: 9 } },
  });
  expect((await upload('{"messages": []}\n', { on_invalid: 'keep' })).status).toBe(400);
});

test('the report counts duplicates, and lengths under a model', async () => {
  await addTinyModel(api.modelsDir, 'tiny-real');
  const rows = [...['a', 'b', 'a', 'a'].map(chatRow), chatRow('long '.repeat(200))].join('\n');
  const { id } = (await upload(rows)).body;
  const report = (await api.inject('GET', `/files/${id}/report?model=tiny-real&max_seq_length=64`)).json();
  expect(report).toMatchObject({ duplicates: 2, lines: 5, tokens: { model: 'tiny-real', examples: 5, complete: true, truncated: 1 } });
  const { histogram, total, mean, max, min } = report.tokens;
  expect(histogram.reduce((sum: number, bin: { examples: number }) => sum + bin.examples, 0)).toBe(5);
  expect(total).toBe(mean * 5);
  expect(max).toBeGreaterThan(200);
  expect(min).toBeLessThan(64);
  expect((await api.inject('GET', `/files/${id}/report?model=none`)).json().error.param).toBe('model');

  const body = {
    model: 'tiny-real',
    training_file: id,
    hyperparameters: { n_epochs: 2, batch_size: 5 },
    row_sparse: { max_seq_length: 64 },
  };
  const estimate = (await post<JobEstimate>('/jobs/estimate', body)).body;
  expect(estimate.tokens).toMatchObject({ basis: 'counted', longest: 64, evaluated: 0 });
  expect(estimate.tokens.trained).toBe(Math.round(10 * Math.min(64, mean)));
});

test('an estimate: steps as the job will have them, memory and duration by device class; nothing is queued', async () => {
  const before = await jobsSoFar();
  const body = { model: api.modelId, training_file: trainingFile, row_sparse: { rows: 2, targets: ['q_proj', 'down_proj'] } };
  const { status, body: estimate } = await post<JobEstimate>('/v1/fine_tuning/jobs/estimate', body);
  expect([status, estimate.object, estimate.tokens.basis]).toEqual([200, 'fine_tuning.estimate', 'bytes']);
  // Two layers, two rows each of width 16 (q_proj) and 32 (down_proj).
  expect(estimate.trainable_parameters).toBe(2 * (2 * 16 + 2 * 32));
  expect(estimate.memory.fast.trained).toBe(4 * 4 * estimate.trainable_parameters);
  for (const device of estimate.devices) {
    expect(device.fits).toBe(device.needed_bytes <= device.memory_bytes);
    expect(device.duration_seconds.low).toBeLessThanOrEqual(device.duration_seconds.high);
  }
  expect(await jobsSoFar()).toBe(before);
  expect((await post('/jobs', body)).body.progress.total_steps).toBe(estimate.steps);
});

test('the duration is by formula until jobs on the same base and device class were measured here', async () => {
  const file = (await upload(examplesJsonl(8))).body.id;
  const body = { model: api.modelId, training_file: file, device_class: 'cpu', row_sparse: { rows: 2 } };
  const estimate = async (change: object = {}) => (await post<JobEstimate>('/jobs/estimate', { ...body, ...change })).body;
  const before = await estimate();
  expect(before.duration).toMatchObject({ basis: 'formula', device_class: 'cpu', jobs: 0, tokens_per_second: null });
  const cpus = before.devices.filter(({ device }) => device.startsWith('cpu-')).map(({ duration_seconds: span }) => span);
  expect(before.duration.low).toBe(Math.min(...cpus.map(({ low }) => low)));
  const job = (await post('/jobs', body)).body;
  await api.succeed(job.id, 4);
  // 64 tokens in half a second, each step.
  const after = await estimate();
  expect(after.duration).toMatchObject({
    basis: 'measured',
    device_class: 'cpu',
    jobs: 1,
    tokens_per_second: { slowest: 128, fastest: 128 },
  });
  expect(after.duration.high).toBe(Math.ceil(after.tokens.trained / (128 * 0.8)));
  expect((await estimate({ device_class: 'auto' })).duration.basis).toBe('measured');
  // Another class was not measured.
  expect((await estimate({ device_class: 'cuda-80g' })).duration).toMatchObject({ basis: 'formula', device_class: 'cuda-80g' });
});

test('a kind of device, a class, or both where they agree', async () => {
  expect((await create({ auto_start: false })).body).toMatchObject({ device: null, device_class: null });
  const { body } = await create({ auto_start: false, device: 'cuda' });
  expect(body).toMatchObject({ device: 'cuda', device_class: null });
  expect((await api.getJob(body.id)).device).toBe('cuda');
  const both = { auto_start: false, device: 'cuda', device_class: 'cuda-80g' };
  expect((await create(both)).body).toMatchObject({ device: 'cuda', device_class: 'cuda-80g' });
});

test('a clone differs in what is named; "auto" stays "auto" and is resolved anew', async () => {
  const asked = {
    suffix: 'first',
    metadata: { team: 'blue' },
    hyperparameters: { n_epochs: 2, batch_size: 'auto' },
    row_sparse: { rows: 2, scorer: 'l1' },
  };
  const first = (await create(asked)).body;
  const { status, body: second } = await post(`/jobs/${first.id}/clone`, {
    row_sparse: { rows: 4 },
    suffix: null,
    hyperparameters: { n_epochs: 3 },
  });
  expect(status).toBe(200);
  expect(second).toMatchObject({
    seed: first.seed,
    suffix: null,
    metadata: { team: 'blue' },
    training_file: trainingFile,
    hyperparameters: { ...first.hyperparameters, n_epochs: 3 },
    row_sparse: { ...first.row_sparse, rows: 4 },
  });
  expect(second.id).not.toBe(first.id);
  const same = (await post(`/jobs/${second.id}/clone`, {})).body;
  expect(same).toMatchObject({ row_sparse: second.row_sparse, hyperparameters: second.hyperparameters, seed: first.seed });
  expect(await post(`/jobs/${first.id}/clone`, { row_sparse: { rowz: 4 } })).toMatchObject({
    status: 400,
    body: { error: { code: 'unknown_parameter', param: 'row_sparse.rowz' } },
  });
  expect(await post(`/jobs/${first.id}/clone`, { model: null })).toMatchObject({ status: 400, body: { error: { param: 'model' } } });
  const once = { 'idempotency-key': 'clone-once' };
  const twice = [await post(`/jobs/${first.id}/clone`, { seed: 5 }, once), await post(`/jobs/${first.id}/clone`, { seed: 5 }, once)];
  expect(new Set(twice.map(({ body }) => body.id)).size).toBe(1);
  expect((await post(`/jobs/${second.id}/clone`, { seed: 5 }, once)).status).toBe(422);
});

test('an Idempotency-Key counts for 24 hours, and its replay needs nothing that is gone meanwhile', async () => {
  const database = openDatabase(api.databaseUrl);
  const file = (await upload(examplesJsonl(5))).body.id;
  const once = { 'idempotency-key': 'for-a-day' };
  const first = (await create({ training_file: file }, once)).body;
  await api.inject('POST', `/jobs/${first.id}/cancel`);
  expect((await api.inject('DELETE', `/files/${file}`)).statusCode).toBe(200);
  expect((await create({ training_file: file }, once)).body.id).toBe(first.id);
  const age = (hours: number) => database.prisma.$executeRaw`
    UPDATE idempotency_key SET created_at = clock_timestamp() - ${hours} * interval '1 hour' WHERE key = 'for-a-day'`;
  await age(23.9);
  expect((await create({ training_file: file }, once)).body.id).toBe(first.id);
  await age(24.1);
  expect((await create({ training_file: file }, once)).body.error.code).toBe('file_not_found');
  const again = (await create({}, once)).body;
  expect(again.id).not.toBe(first.id);
  expect((await create({}, once)).body.id).toBe(again.id);
  await database.close();
});

test("OpenAI's other methods are refused by name, whatever fields come with them", async () => {
  const dpo = { type: 'dpo', dpo: { hyperparameters: { beta: 'auto', n_epochs: 2 } } };
  const { id } = (await create({})).body;
  for (const url of ['/v1/fine_tuning/jobs', `/v1/fine_tuning/jobs/${id}/clone`, '/jobs/estimate']) {
    const body = url.endsWith('clone') ? { method: dpo } : { model: api.modelId, training_file: trainingFile, method: dpo };
    const answer = await post(url, body);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'unsupported_method', param: 'method.type' } } });
  }
});
