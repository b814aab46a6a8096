/** The unmodified `openai` package drives the server: only base URL, key and model name are ours. */
import { createHash } from 'node:crypto';
import OpenAI, { AuthenticationError, BadRequestError, ConflictError, NotFoundError, toFile, UnprocessableEntityError } from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { examplesJsonl, openTestApi, type TestApi } from './testing/test-api.js';

let api: TestApi;
let openai: OpenAI;
beforeAll(async () => {
  api = await openTestApi({ listen: true });
  openai = new OpenAI({ apiKey: api.key, baseURL: `${api.url}/v1` });
});
afterAll(() => api.close());

const upload = async () => openai.files.create({ file: await toFile(Buffer.from(examplesJsonl(12)), 'chat.jsonl'), purpose: 'fine-tune' });

test('files: create, wait, retrieve, list, content, delete', async () => {
  const file = await upload();
  expect(file).toMatchObject({ object: 'file', purpose: 'fine-tune', filename: 'chat.jsonl', bytes: Buffer.byteLength(examplesJsonl(12)) });
  expect((await openai.files.waitForProcessing(file.id)).status).toBe('processed');
  expect((await openai.files.retrieve(file.id)).id).toBe(file.id);
  expect(await (await openai.files.content(file.id)).text()).toBe(examplesJsonl(12));
  const second = await upload();
  const seen: string[] = [];
  for await (const f of openai.files.list({ limit: 1 })) seen.push(f.id);
  expect(seen).toEqual(expect.arrayContaining([file.id, second.id]));
  expect(await openai.files.delete(second.id)).toEqual({ id: second.id, object: 'file', deleted: true });
  await expect(openai.files.retrieve(second.id)).rejects.toThrow(NotFoundError);
});

test('a job from creation to result file, as the documented loop does it', async () => {
  const file = await upload();
  const job = await openai.fineTuning.jobs.create({
    model: api.modelId,
    training_file: file.id,
    suffix: 'sdk',
    seed: 7,
    metadata: { team: 'blue' },
    method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 1, batch_size: 4 } } },
  });
  expect(job).toMatchObject({
    object: 'fine_tuning.job',
    status: 'queued',
    seed: 7,
    metadata: { team: 'blue' },
    training_file: file.id,
    validation_file: null,
    fine_tuned_model: null,
    finished_at: null,
    error: null,
    result_files: [],
    trained_tokens: null,
    hyperparameters: { n_epochs: 1, batch_size: 4 },
  });
  await api.succeed(job.id, 3);
  const done = await openai.fineTuning.jobs.retrieve(job.id);
  expect(done.status).toBe('succeeded');
  expect(done.fine_tuned_model).toMatch(new RegExp(`^ft:${api.modelId}:.*:sdk:${job.id}$`));
  const csv = await (await openai.files.content(done.result_files[0] ?? '')).text();
  expect(
    csv
      .trim()
      .split('\n')
      .map((line) => line.split(',')[0]),
  ).toEqual(['step', '1', '2', '3']);

  const events = [];
  for await (const event of openai.fineTuning.jobs.listEvents(job.id, { limit: 2 })) events.push(event);
  expect(events.length).toBeGreaterThan(3);
  expect(events.map((e) => e.created_at)).toEqual(events.map((e) => e.created_at).sort((a, b) => b - a));
  expect(new Set(events.map((e) => e.id)).size).toBe(events.length);
  expect(events[0]?.data).toMatchObject({ type: 'job.succeeded' });

  const checkpoints = [];
  for await (const checkpoint of openai.fineTuning.jobs.checkpoints.list(job.id, { limit: 1 })) checkpoints.push(checkpoint);
  expect(checkpoints.map((c) => c.step_number)).toEqual([3, 2, 1]);
  expect(checkpoints[0]).toMatchObject({ object: 'fine_tuning.job.checkpoint', fine_tuning_job_id: job.id, metrics: { step: 3 } });

  expect((await openai.models.retrieve(done.fine_tuned_model ?? '')).id).toBe(done.fine_tuned_model);
  const models = [];
  for await (const model of openai.models.list()) models.push(model.id);
  expect(models).toEqual(expect.arrayContaining([api.modelId, done.fine_tuned_model]));
});

test('pages end, and filter by metadata', async () => {
  const file = await upload();
  const made: string[] = [];
  for (let i = 0; i < 5; i++) {
    made.unshift(
      (await openai.fineTuning.jobs.create({ model: api.modelId, training_file: file.id, metadata: { batch: 'pages', i: String(i) } })).id,
    );
  }
  const seen: string[] = [];
  for await (const job of openai.fineTuning.jobs.list({ limit: 2, metadata: { batch: 'pages' } })) seen.push(job.id);
  expect(seen).toEqual(made);
  const one = await openai.fineTuning.jobs.list({ metadata: { batch: 'pages', i: '3' } });
  expect(one.data.map((j) => j.id)).toEqual([made[1]]);
  const bare = await openai.fineTuning.jobs.create({ model: api.modelId, training_file: file.id });
  // As OpenAI's documents have it: the literal query string.
  const without = await openai.get<{ data: { id: string; metadata: unknown }[] }>('/fine_tuning/jobs?metadata=null');
  expect(without.data.map((j) => j.metadata)).toEqual(without.data.map(() => null));
  expect(without.data[0]?.id).toBe(bare.id);
  await expect(openai.get('/fine_tuning/jobs?metadata=blue')).rejects.toMatchObject({ status: 400, param: 'metadata' });
});

test('cancel; a second cancel is a BadRequestError that is not retried', async () => {
  const file = await upload();
  const job = await openai.fineTuning.jobs.create({ model: api.modelId, training_file: file.id });
  expect((await openai.fineTuning.jobs.cancel(job.id)).status).toBe('cancelled');
  const before = api.requests();
  await expect(openai.fineTuning.jobs.cancel(job.id)).rejects.toThrow(BadRequestError);
  expect(api.requests() - before).toBe(1);
});

test('error classes, with code, param and request id', async () => {
  const file = await upload();
  const stranger = new OpenAI({ apiKey: 'not-a-key', baseURL: `${api.url}/v1` });
  await expect(stranger.models.list()).rejects.toThrow(AuthenticationError);
  await expect(openai.fineTuning.jobs.retrieve('ftjob-none')).rejects.toThrow(NotFoundError);
  const failure = await openai.fineTuning.jobs.create({ model: 'gpt-99', training_file: file.id }).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(NotFoundError);
  expect(failure).toMatchObject({ status: 404, code: 'model_not_found', param: 'model', type: 'invalid_request_error' });
  expect((failure as NotFoundError).requestID).toMatch(/^req_/);

  const body = { model: api.modelId, training_file: file.id };
  const once = { headers: { 'Idempotency-Key': 'sdk-once' } };
  const first = await openai.fineTuning.jobs.create(body, once);
  expect((await openai.fineTuning.jobs.create(body, once)).id).toBe(first.id);
  await expect(openai.fineTuning.jobs.create({ ...body, seed: 1 }, once)).rejects.toThrow(UnprocessableEntityError);

  const before = api.requests();
  await expect(openai.files.delete(file.id)).rejects.toThrow(ConflictError);
  expect(api.requests() - before).toBe(1);
});

test('uploads in parts: create, parts, complete, cancel', async () => {
  const content = Buffer.from(examplesJsonl(30));
  const announced = { bytes: content.length, filename: 'big.jsonl', mime_type: 'text/jsonl', purpose: 'fine-tune' as const };
  const pending = await openai.uploads.create({ ...announced, expires_after: { anchor: 'created_at', seconds: 7200 } });
  expect(pending).toMatchObject({
    object: 'upload',
    status: 'pending',
    bytes: content.length,
    filename: 'big.jsonl',
    purpose: 'fine-tune',
  });
  expect(pending.expires_at - pending.created_at).toBe(3600);
  const parts = [];
  for (const piece of [content.subarray(0, 700), content.subarray(700)]) {
    parts.push(await openai.uploads.parts.create(pending.id, { data: await toFile(piece, 'part') }));
  }
  expect(parts[0]).toMatchObject({ object: 'upload.part', upload_id: pending.id });
  const md5 = createHash('md5').update(content).digest('hex');
  const done = await openai.uploads.complete(pending.id, { part_ids: parts.map((part) => part.id), md5 });
  expect(done.status).toBe('completed');
  expect(done.file).toMatchObject({ object: 'file', status: 'processed', bytes: content.length, filename: 'big.jsonl' });
  expect((done.file?.expires_at ?? 0) - (done.file?.created_at ?? 0)).toBe(7200);
  expect(await (await openai.files.content(done.file?.id ?? '')).text()).toBe(content.toString());
  const other = await openai.uploads.create(announced);
  expect((await openai.uploads.cancel(other.id)).status).toBe('cancelled');
  await expect(openai.uploads.complete(other.id, { part_ids: ['part_none'] })).rejects.toThrow(BadRequestError);
});

test('pause and resume; a job that is still pausing is a conflict that the SDK tries again', async () => {
  const file = await upload();
  const job = await openai.fineTuning.jobs.create({ model: api.modelId, training_file: file.id });
  expect((await openai.fineTuning.jobs.pause(job.id)).status).toBe('paused');
  expect((await openai.fineTuning.jobs.resume(job.id)).status).toBe('queued');
  const worker = await api.begin(job.id);
  expect((await openai.fineTuning.jobs.pause(job.id)).status).toBe('pausing');
  expect(await worker.heartbeat()).toBe('pause');
  const before = api.requests();
  await expect(openai.fineTuning.jobs.resume(job.id, { maxRetries: 1 })).rejects.toThrow(ConflictError);
  expect(api.requests() - before).toBe(2);
  expect((await openai.fineTuning.jobs.cancel(job.id)).status).toBe('pausing');
  await worker.cancelled();
  expect((await openai.fineTuning.jobs.retrieve(job.id)).status).toBe('cancelled');
  await expect(openai.fineTuning.jobs.pause(job.id)).rejects.toThrow(BadRequestError);
  await expect(openai.fineTuning.jobs.resume(job.id)).rejects.toThrow(BadRequestError);
});

test('a fine-tuned model is deleted, a base model is not', async () => {
  const file = await upload();
  const job = await openai.fineTuning.jobs.create({ model: api.modelId, training_file: file.id });
  await api.succeed(job.id, 1);
  const name = (await openai.fineTuning.jobs.retrieve(job.id)).fine_tuned_model ?? '';
  expect(await openai.models.delete(name)).toEqual({ id: name, object: 'model', deleted: true });
  await expect(openai.models.retrieve(name)).rejects.toThrow(NotFoundError);
  await expect(openai.models.delete(name)).rejects.toThrow(NotFoundError);
  await expect(openai.models.delete(api.modelId)).rejects.toThrow(BadRequestError);
  expect((await openai.fineTuning.jobs.retrieve(job.id)).fine_tuned_model).toBe(name);
});

test('an unknown cursor is an error on every list, not the first page again', async () => {
  const file = await upload();
  const job = await openai.fineTuning.jobs.create({ model: api.modelId, training_file: file.id });
  const lists = [
    () => openai.files.list({ after: 'file-none' }),
    () => openai.fineTuning.jobs.list({ after: 'ftjob-none' }),
    () => openai.fineTuning.jobs.listEvents(job.id, { after: 'ftevent-none' }),
    () => openai.fineTuning.jobs.checkpoints.list(job.id, { after: 'ftckpt_none' }),
  ];
  for (const list of lists) await expect(list()).rejects.toMatchObject({ status: 400, param: 'after', code: 'invalid_value' });
});

test('our extensions travel in the same call', async () => {
  const file = await upload();
  const body = { model: api.modelId, training_file: file.id, row_sparse: { rows: 4, scorer: 'l1' as const } };
  const job = await openai.fineTuning.jobs.create(body);
  expect(job).toMatchObject({ row_sparse: { rows: 4, scorer: 'l1' } });
  const typo = await openai.fineTuning.jobs.create({ ...body, ...{ row_sparse: { rowz: 4 } } }).catch((error: unknown) => error);
  expect(typo).toMatchObject({ status: 400, code: 'unknown_parameter', param: 'row_sparse.rowz' });
});
