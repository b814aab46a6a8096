import { createHash } from 'node:crypto';
import type { JobObject } from '@rowsmith/contracts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
let trainingFile = '';
beforeAll(async () => {
  api = await openTestApi();
  trainingFile = (await api.uploadExamples()).id;
});
afterAll(() => api.close());

const create = (body: object, headers: Record<string, string> = {}) =>
  api.app.inject({
    method: 'POST',
    url: '/jobs',
    headers: { ...api.headers(), ...headers },
    payload: { model: api.modelId, training_file: trainingFile, ...body },
  });

test('a created job has every key of the wire format and no "auto"', async () => {
  const created = await create({ hyperparameters: { n_epochs: 'auto', batch_size: 4 }, row_sparse: { scorer: 'auto', rows: 3 } });
  expect(created.statusCode).toBe(200);
  const job = created.json<JobObject>();
  expect(Object.keys(job).sort()).toEqual(
    [
      'created_at',
      'device',
      'device_class',
      'error',
      'estimated_finish',
      'fine_tuned_model',
      'finished_at',
      'hyperparameters',
      'id',
      'integrations',
      'invalid_sample_skip_percentage',
      'max_duration_seconds',
      'metadata',
      'method',
      'model',
      'object',
      'organization_id',
      'priority',
      'progress',
      'result_files',
      'row_sparse',
      'seed',
      'status',
      'suffix',
      'trained_tokens',
      'training_file',
      'training_files',
      'validation_file',
      'validation_split',
    ].sort(),
  );
  expect(job).toMatchObject({
    status: 'queued',
    hyperparameters: { batch_size: 4 },
    row_sparse: { rows: 3 },
    progress: { step: 0, attempt: 0 },
  });
  // Which kind of memory fits, and which kind of execution is there, is known where the job runs.
  expect(JSON.stringify({ ...job, row_sparse: { ...job.row_sparse, memory: '', execution: '' } })).not.toContain('"auto"');
  expect((await api.inject('GET', `/v1/fine_tuning/jobs/${job.id}`)).json()).toEqual(job);
  const events = (await api.inject('GET', `/jobs/${job.id}/events`)).json();
  expect(events.data.map((e: { data: { type: string } }) => e.data.type)).toContain('job.created');
  expect(events.data[0]).toMatchObject({
    object: 'fine_tuning.job.event',
    id: expect.stringMatching(/^ftevent-/),
    level: 'info',
    type: 'message',
  });
});

test.each([
  [{ model: 'gpt-99' }, 404, 'model_not_found', 'model'],
  [{ training_file: 'file-000000000000000000000000' }, 400, 'file_not_found', 'training_file'],
  [{ validation_file: 'file-000000000000000000000000' }, 400, 'file_not_found', 'validation_file'],
  [{ learningRate: 1 }, 400, 'unknown_parameter', 'learningRate'],
  [{ suffix: 'no spaces' }, 400, 'invalid_value', 'suffix'],
  [{ seed: -1 }, 400, 'invalid_value', 'seed'],
  [{ hyperparameters: { n_epochs: '3' } }, 400, 'invalid_value', 'hyperparameters.n_epochs'],
])('%j is refused', async (body, status, code, param) => {
  const before = (await api.inject('GET', '/jobs')).json().data.length;
  const refused = await create(body);
  expect([refused.statusCode, refused.json().error.code, refused.json().error.param]).toEqual([status, code, param]);
  expect((await api.inject('GET', '/jobs')).json().data.length).toBe(before);
});

test('layers that the model does not have are refused with the field', async () => {
  const refused = await create({ row_sparse: { layers: [0, 10_000] } });
  expect([refused.statusCode, refused.json().error.param]).toEqual([400, 'row_sparse.layers']);
});

test('the same key and body make one job; another body is 422; no key, another job', async () => {
  const once = { 'idempotency-key': 'job-once' };
  const answers = await Promise.all(Array.from({ length: 8 }, () => create({ seed: 3 }, once)));
  expect(new Set(answers.map((a) => a.json().id)).size).toBe(1);
  expect(answers.filter((a) => a.headers['idempotent-replayed'] === 'true')).toHaveLength(7);
  // The order of keys in the text is not part of the body.
  const reordered = await api.app.inject({
    method: 'POST',
    url: '/v1/fine_tuning/jobs',
    headers: { ...api.headers(), ...once, 'content-type': 'application/json' },
    payload: JSON.stringify({ seed: 3, training_file: trainingFile, model: api.modelId }),
  });
  expect(reordered.json().id).toBe(answers[0]?.json().id);
  const other = await create({ seed: 4 }, once);
  expect([other.statusCode, other.json().error.code]).toEqual([422, 'idempotency_key_reused']);
  expect((await create({ seed: 3 })).json().id).not.toBe(answers[0]?.json().id);
});

test('a cursor that is no job is said, not read as the first page', async () => {
  const refused = await api.inject('GET', '/jobs?after=ftjob-none');
  expect([refused.statusCode, refused.json().error.code, refused.json().error.param]).toEqual([400, 'invalid_value', 'after']);
});

test('cancel: a queued job at once; a finished one is refused clearly and not for retry', async () => {
  const { id } = (await create({})).json();
  expect((await api.inject('POST', `/jobs/${id}/cancel`)).json()).toMatchObject({
    id,
    status: 'cancelled',
    finished_at: expect.any(Number),
  });
  const again = await api.inject('POST', `/v1/fine_tuning/jobs/${id}/cancel`);
  expect([again.statusCode, again.headers['x-should-retry'], again.json().error.code]).toEqual([400, 'false', 'job_already_finished']);
  expect(again.json().error.message).toMatch(/cancelled/);
});

test('a running job is asked to stop, twice if need be', async () => {
  const { id } = (await create({})).json();
  const attempt = await api.begin(id);
  expect((await api.inject('POST', `/jobs/${id}/cancel`)).json().status).toBe('running');
  expect((await api.inject('POST', `/jobs/${id}/cancel`)).statusCode).toBe(200);
  expect(await attempt.heartbeat()).toBe('cancel');
  await attempt.cancelled();
  expect((await api.getJob(id)).status).toBe('cancelled');
});

test('a succeeded job: result file, metrics, checkpoints, adapter, model', async () => {
  const { id } = (await create({ suffix: 'done' })).json();
  const files = await api.succeed(id, 3);
  const job = await api.getJob(id);
  expect(job).toMatchObject({ status: 'succeeded', trained_tokens: expect.any(Number), progress: { step: 3, total_steps: 3, attempt: 1 } });
  expect(job.result_files).toHaveLength(1);
  const [resultFile = ''] = job.result_files;
  expect((await api.inject('GET', `/files/${resultFile}`)).json()).toMatchObject({
    purpose: 'fine-tune-results',
    filename: `${id}-metrics.csv`,
  });

  const csv = await api.inject('GET', `/files/${resultFile}/content`);
  expect(csv.headers['content-type']).toMatch(/^text\/csv/);
  expect(csv.payload).toBe(
    'step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy,epoch,learning_rate,grad_norm,tokens,labelled_tokens\n' +
      '1,2,0.25,,,0.25,0.001,1.5,64,32\n2,1,0.25,,,0.5,0.001,1.5,64,32\n3,0.6666666666666666,0.25,,,0.75,0.001,1.5,64,32\n',
  );
  const same = await api.app.inject({ method: 'GET', url: `/jobs/${id}/metrics`, headers: { ...api.headers(), accept: 'text/csv' } });
  expect(same.payload).toBe(csv.payload);
  expect((await api.inject('GET', `/jobs/${id}/metrics?format=csv&after_step=2`)).payload.split('\n')[1]).toMatch(/^3,/);
  const page = (await api.inject('GET', `/jobs/${id}/metrics?limit=2`)).json();
  expect([page.data.map((p: { step: number }) => p.step), page.has_more]).toEqual([[1, 2], true]);
  expect((await api.inject('GET', `/jobs/${id}/metrics?after_step=2`)).json()).toMatchObject({
    data: [{ step: 3, train_loss: 2 / 3 }],
    has_more: false,
  });

  const checkpoints = (await api.inject('GET', `/jobs/${id}/checkpoints`)).json();
  expect(checkpoints.data.map((c: { step_number: number }) => c.step_number)).toEqual([3, 2, 1]);
  expect(checkpoints).toMatchObject({ first_id: checkpoints.data[0].id, last_id: checkpoints.data[2].id, has_more: false });
  expect(checkpoints.data[0].fine_tuned_model_checkpoint).toBe(`${job.fine_tuned_model}:ckpt-step-3`);

  const tar = await api.inject('GET', `/jobs/${id}/adapter`);
  expect(tar.headers['content-type']).toBe('application/x-tar');
  expect(Number(tar.headers['content-length'])).toBe(tar.rawPayload.length);
  expect(tar.rawPayload.length % 512).toBe(0);
  const again = await api.app.inject({
    method: 'GET',
    url: `/jobs/${id}/adapter?format=peft`,
    headers: { ...api.headers(), 'if-none-match': String(tar.headers.etag) },
  });
  expect(again.statusCode).toBe(304);
  const [name = '', content = ''] = [...files.peft][0] ?? [];
  const single = await api.inject('GET', `/jobs/${id}/adapter/${name}`);
  expect(single.payload).toBe(content);
  expect(single.headers.etag).toBe(`"${createHash('sha256').update(content).digest('hex')}"`);
  expect((await api.inject('GET', `/jobs/${id}/adapter/nothing.bin`)).json().error.code).toBe('adapter_file_not_found');
  expect((await api.inject('GET', `/jobs/${id}/adapter?format=gguf`)).statusCode).toBe(400);

  const model = await api.inject('GET', `/models/${encodeURIComponent(job.fine_tuned_model ?? '')}`);
  expect(model.json()).toEqual({ id: job.fine_tuned_model, object: 'model', created: job.finished_at, owned_by: job.organization_id });
  expect((await api.inject('GET', `/models/${api.modelId}`)).json()).toMatchObject({ id: api.modelId, owned_by: 'rowsmith' });
  expect((await api.inject('GET', '/models/nothing')).json().error).toMatchObject({ code: 'model_not_found', param: 'model' });
});

test('readers at once make one result file', async () => {
  const { id } = (await create({})).json();
  await api.succeed(id, 2);
  const jobs = await Promise.all(Array.from({ length: 6 }, () => api.getJob(id)));
  expect(new Set(jobs.map((j) => j.result_files.join())).size).toBe(1);
  const listed = (await api.inject('GET', '/jobs?limit=100')).json().data.find((j: JobObject) => j.id === id);
  expect(listed.result_files).toEqual(jobs[0]?.result_files);
});

test('a stored file that is not what its manifest says breaks the download instead of passing', async () => {
  const { id } = (await create({})).json();
  await api.succeed(id, 1);
  await api.damageAdapter(id);
  // A status, if nothing was sent yet; else the connection is cut in the middle of the announced length.
  const outcome = await api.inject('GET', `/jobs/${id}/adapter`).then(
    (reply) => reply.statusCode,
    () => 'cut off',
  );
  expect([500, 'cut off']).toContain(outcome);
});

test('a live stream replays after Last-Event-ID and ends after the last event', async () => {
  const { id } = (await create({})).json();
  await api.succeed(id, 2);
  const stream = (lastEventId?: string) =>
    api.app.inject({
      method: 'GET',
      url: `/jobs/${id}/events`,
      headers: { ...api.headers(), accept: 'text/event-stream', ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) },
    });
  const seqs = (payload: string) => [...payload.matchAll(/^id: (\d+)$/gm)].map((m) => Number(m[1]));
  const all = await stream();
  expect(all.headers['content-type']).toBe('text/event-stream; charset=utf-8');
  expect(all.payload).toMatch(/^retry: \d+\n\n/);
  expect(all.payload).toMatch(/event: done\ndata: \{"job":"ftjob-\w+","status":"succeeded"\}\n\n$/);
  const n = (await api.eventIds(id)).length;
  expect(seqs(all.payload)).toEqual(Array.from({ length: n }, (_, i) => i + 1));
  expect(seqs((await stream('3')).payload)).toEqual(Array.from({ length: n - 3 }, (_, i) => i + 4));
  expect(seqs((await stream(String(n))).payload)).toEqual([]);
  expect((await stream('abc')).json().error).toMatchObject({ code: 'invalid_value', param: 'Last-Event-ID' });
});
