import type { JobObject, ModelLimits } from '@rowsmith/contracts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
let file = '';
beforeAll(async () => {
  api = await openTestApi({ maxFileBytes: 123_456, requestsPerMinute: 5_000 });
  file = (await api.uploadExamples()).id;
});
afterAll(() => api.close());

const limits = async (path = `/models/${api.modelId}/limits`) => (await api.inject('GET', path)).json<ModelLimits>();
const create = (change: object) =>
  api.app.inject({ method: 'POST', url: '/jobs', headers: api.headers(), payload: { model: api.modelId, training_file: file, ...change } });

test('what the model, the service and the project allow; the same under both prefixes', async () => {
  const found = await limits();
  expect(await limits(`/v1/models/${api.modelId}/limits`)).toEqual(found);
  expect(found).toMatchObject({
    ...{ object: 'model.limits', model: api.modelId, kind: 'decoder', context_length: 512, layers: 2 },
    rows_of_channels: { out: 32, in: 32, both: 32, coupled: 32 },
    row_sparse: {
      max_seq_length: { minimum: 8, maximum: 512, default: 512 },
      rows: { minimum: 1, maximum: 32, default: 16 },
      layers: { maximum: 1, default: [0, 1] },
    },
    hyperparameters: { batch_size: { minimum: 1, maximum: 256 } },
    job: { integrations: { values: [] } },
    files: { max_bytes: 123_456, max_line_bytes: 2 ** 20 },
    requests: { per_minute: 5_000 },
    quotas: { queued_jobs: null, storage_bytes: null },
  });
  expect(found.matrices).toContainEqual({ target: 'down_proj', rows: 16, columns: 32 });
  for (const { memory } of found.devices)
    expect(memory.map(({ mode, fits }) => [mode, fits])).toEqual([
      ['fast', true],
      ['low', true],
    ]);
});

test('the bounds are those of creation: at them a job is taken, beyond them refused', async () => {
  const { row_sparse: fields, hyperparameters } = await limits();
  const most = (name: string) => fields[name]?.maximum ?? Number.NaN;
  const atBounds = { max_seq_length: most('max_seq_length'), rows: most('rows'), layers: [0, most('layers')] };
  expect((await create({ row_sparse: atBounds })).json<JobObject>()).toMatchObject({ row_sparse: atBounds });
  for (const [name, value] of Object.entries(atBounds)) {
    const beyond = Array.isArray(value) ? [0, most(name) + 1] : most(name) + 1;
    const refused = await create({ row_sparse: { [name]: beyond } });
    expect([refused.statusCode, refused.json().error.param]).toEqual([400, `row_sparse.${name}`]);
  }
  const batch = (hyperparameters['batch_size']?.maximum ?? 0) + 1;
  expect((await create({ hyperparameters: { batch_size: batch } })).statusCode).toBe(400);
});

test("the calling project's quotas", async () => {
  const quotas = { queued_jobs: 7, storage_bytes: 1_000_000 };
  const headers = { ...api.headers(), 'content-type': 'application/json' };
  const changed = await api.app.inject({ method: 'POST', url: '/organization/projects/current', headers, payload: { quotas } });
  expect(changed.statusCode).toBe(200);
  expect((await limits()).quotas).toMatchObject(quotas);
  const others = await api.app.inject({ method: 'GET', url: `/models/${api.modelId}/limits`, headers: api.headers('other') });
  expect(others.json<ModelLimits>().quotas).toMatchObject({ queued_jobs: null, storage_bytes: null });
});

test('a fine-tuned model names its base; a foreign one and none are the same 404', async () => {
  const job = (await create({})).json<JobObject>();
  await api.succeed(job.id, 1);
  const name = (await api.getJob(job.id)).fine_tuned_model ?? '';
  const url = `/models/${encodeURIComponent(name)}/limits`;
  const own = await api.inject('GET', url);
  expect([own.statusCode, own.json().error.code]).toEqual([404, 'model_not_found']);
  expect(own.json().error.message).toContain(`/models/${api.modelId}/limits`);
  const foreign = await api.app.inject({ method: 'GET', url, headers: api.headers('other') });
  const none = await api.inject('GET', '/models/nothing/limits');
  expect([foreign.statusCode, foreign.json().error.message]).toEqual([404, `The model '${name}' does not exist.`]);
  expect([none.statusCode, none.json().error.message]).toEqual([404, "The model 'nothing' does not exist."]);
});
