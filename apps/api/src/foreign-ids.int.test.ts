/** Every route of the OpenAPI document that names an object, called with another project's key: always 404, as if it were not there. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openApiDocument } from './http/openapi.js';
import { openTestApi, type TestApi } from './testing/test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());

test('a foreign id is a 404 on every route, for every method', async () => {
  const file = await api.uploadExamples();
  const job = await api.createJob(file.id);
  await api.succeed(job.id, 2);
  const done = await api.getJob(job.id);
  const paths = openApiDocument(api.app)['paths'] as Record<string, Record<string, unknown>>;
  const ids: Record<string, string> = { files: file.id, jobs: job.id, models: done.fine_tuned_model ?? '' };
  const walked: string[] = [];
  for (const [path, operations] of Object.entries(paths)) {
    if (!path.includes('{id}')) continue;
    const kind = ['files', 'jobs', 'models'].find((k) => path.includes(`/${k}/{id}`)) ?? '';
    const url = path.replace('{id}', encodeURIComponent(ids[kind] ?? '')).replace('{file}', 'adapter_model.safetensors');
    for (const method of Object.keys(operations)) {
      const request = { method: method.toUpperCase() as 'GET', url };
      const foreign = await api.app.inject({ ...request, headers: api.headers('other') });
      expect({ method, url, status: foreign.statusCode }).toEqual({ method, url, status: 404 });
      const never = await api.app.inject({ ...request, url: url.replaceAll(ids[kind] ?? '', 'nothing'), headers: api.headers('other') });
      expect(never.json().error.code).toBe(foreign.json().error.code);
      walked.push(`${method} ${path}`);
    }
  }
  // 3 of files, 7 of jobs, 1 of models, under two prefixes; a route added later is walked without a change here.
  expect(walked.length).toBeGreaterThanOrEqual(22);
  // Nothing was changed by the stranger, and the owner still reads all of it.
  expect((await api.getJob(job.id)).status).toBe('succeeded');
  expect((await api.inject('GET', `/files/${file.id}`)).statusCode).toBe(200);
});

test("lists hold only the project's own", async () => {
  for (const url of ['/files', '/jobs']) {
    const list = await api.app.inject({ method: 'GET', url, headers: api.headers('other') });
    expect(list.json().data).toEqual([]);
  }
  const models = await api.app.inject({ method: 'GET', url: '/models', headers: api.headers('other') });
  expect(models.json().data.map((m: { owned_by: string }) => m.owned_by)).toEqual(['rowsmith']);
});

test('a job cannot be made with a foreign file', async () => {
  const file = await api.uploadExamples();
  const refused = await api.app.inject({
    method: 'POST',
    url: '/jobs',
    headers: api.headers('other'),
    payload: { model: api.modelId, training_file: file.id },
  });
  expect(refused.statusCode).toBe(400);
  expect(refused.json().error).toMatchObject({ param: 'training_file', code: 'file_not_found' });
});
