/** DELETE of a job: who may, what is gone, what others keep of it, and what the collector then takes. */
import type { JobObject } from '@rowsmith/contracts';
import { createReferenceStore, openDatabase } from '@rowsmith/db';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collectGarbage } from '../control/garbage.js';
import { leaveChain } from '../testing/leave-chain.js';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
let trainingFile = '';
beforeAll(async () => {
  api = await openTestApi();
  trainingFile = (await api.uploadExamples()).id;
});
afterAll(() => api.close());

async function create(body: object = {}, headers: Readonly<Record<string, string>> = {}, url = '/jobs') {
  const payload = url === '/jobs' ? { model: api.modelId, training_file: trainingFile, ...body } : body;
  const answer = await api.app.inject({ method: 'POST', url, headers: { ...api.headers(), ...headers }, payload });
  return { status: answer.statusCode, body: answer.json<JobObject & { error: { code: string; param: string | null; message: string } }>() };
}
const remove = (id: string, prefix = '/jobs') => api.inject('DELETE', `${prefix}/${id}`);

test('a finished job is gone from every route and list, its model and result file too', async () => {
  const key = { 'idempotency-key': 'once' };
  const { id } = (await create({ metadata: { of: 'gone' } }, key)).body;
  await api.succeed(id, 2);
  const job = await api.getJob(id);
  const model = job.fine_tuned_model ?? '';
  const [checkpoint] = (await api.inject('GET', `/jobs/${id}/checkpoints`)).json<{ data: { id: string }[] }>().data;
  const answer = await remove(id, '/v1/fine_tuning/jobs');
  expect([answer.statusCode, answer.json()]).toEqual([200, { id, object: 'fine_tuning.job', deleted: true }]);

  const paths = Object.entries((await api.inject('GET', '/openapi.json')).json<{ paths: Record<string, object> }>().paths)
    .filter(([path]) => path.startsWith('/jobs/{id}'))
    .flatMap(([path, methods]) => Object.keys(methods).map((method) => [method.toUpperCase(), path] as const));
  expect(paths.length).toBeGreaterThan(14);
  for (const [method, path] of paths) {
    const url = path.replace('{id}', id).replace('{file}', 'adapter_config.json');
    const payload = url.endsWith('/clone') ? { payload: {} } : {};
    const gone = await api.app.inject({ method: method as 'GET', url, headers: api.headers(), ...payload });
    expect([method, path, gone.statusCode, gone.json().error.code]).toEqual([method, path, 404, 'job_not_found']);
  }
  const live = await api.app.inject({ url: `/jobs/${id}/events`, headers: { ...api.headers(), accept: 'text/event-stream' } });
  expect(live.statusCode).toBe(404);
  for (const url of ['/jobs?limit=100', '/jobs?metadata[of]=gone', '/models', '/files?limit=100'])
    expect((await api.inject('GET', url)).payload).not.toContain(id);
  expect((await api.inject('GET', `/models/${encodeURIComponent(model)}`)).statusCode).toBe(404);
  expect((await api.inject('DELETE', `/models/${encodeURIComponent(model)}`)).statusCode).toBe(404);
  expect((await api.inject('GET', `/files/${job.result_files[0]}`)).statusCode).toBe(404);
  expect((await api.inject('GET', `/files/${trainingFile}`)).statusCode).toBe(200);
  expect((await api.inject('GET', `/jobs?after=${id}`)).json().error.param).toBe('after');

  const refused = async (...args: Parameters<typeof create>) => {
    const { status, body } = await create(...args);
    return [status, body.error?.code, body.error?.param];
  };
  expect(await refused({ metadata: { of: 'gone' } }, key)).toEqual([404, 'job_not_found', 'Idempotency-Key']);
  expect(await refused({}, {}, `/jobs/${id}/clone`)).toEqual([404, 'job_not_found', null]);
  const [warm, reuse] = ['row_sparse.warm_start_from', 'row_sparse.reuse_rows_of'];
  expect(await refused({ row_sparse: { warm_start_from: id } })).toEqual([400, 'job_not_found', warm]);
  expect(await refused({ row_sparse: { warm_start_from: checkpoint?.id } })).toEqual([400, 'checkpoint_not_found', warm]);
  expect(await refused({ row_sparse: { reuse_rows_of: id } })).toEqual([404, 'job_not_found', reuse]);

  const log = await api.inject('GET', '/organization/audit_logs?event_types[]=job.deleted');
  expect(log.json().data).toMatchObject([{ type: 'job.deleted', resource_id: id }]);
});

describe('a job that is not finished', () => {
  test.each(['queued', 'running', 'paused'])('%s: 409, and it stays; cancelled it goes', async (status) => {
    const { id } = (await create({ auto_start: status !== 'paused' })).body;
    const attempt = status === 'running' ? await api.begin(id) : null;
    const refused = await remove(id);
    expect([refused.statusCode, refused.headers['x-should-retry']]).toEqual([409, 'false']);
    expect(refused.json().error).toMatchObject({ code: 'job_not_finished', param: 'id', message: expect.stringContaining(status) });
    expect(await api.getJob(id)).toMatchObject({ status });
    await api.inject('POST', `/jobs/${id}/cancel`);
    // Its worker may still write: only its end, or its loss, finishes the job.
    if (attempt) expect((await remove(id)).statusCode).toBe(409);
    await attempt?.cancelled();
    expect((await remove(id)).statusCode).toBe(200);
  });
});

test('the collector takes what it left, but for what a job needs that started from it', async () => {
  const { id } = (await create()).body;
  const { adapter } = await leaveChain(api.worker, id, { tokenizerSha256: '0'.repeat(64) });
  const [resultFile] = (await api.getJob(id)).result_files;
  const warm = (await create({ row_sparse: { warm_start_from: id } })).body;
  const rows = adapter.manifest.files.find(({ name }) => name === 'rows.safetensors')?.key;
  const database = openDatabase(api.databaseUrl);
  const left = async () => {
    await collectGarbage({ objects: api.worker.objects, references: createReferenceStore(database) }, { graceMs: 0 });
    const keys: string[] = [];
    for (const place of ['jobs', 'files'])
      for await (const { key } of api.worker.objects.list(place)) if (key.includes(id) || key.endsWith(`${resultFile}`)) keys.push(key);
    return keys;
  };
  try {
    expect((await left()).length).toBeGreaterThan(10);
    expect((await remove(id)).statusCode).toBe(200);
    expect(await left()).toEqual([rows]);
    await api.inject('POST', `/jobs/${warm.id}/cancel`);
    expect(await left()).toEqual([]);
  } finally {
    await database.close();
  }
});
