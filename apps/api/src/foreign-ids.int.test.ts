/** Every route of the OpenAPI document that names an object, called with another project's key: always 404, as if it were not there. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openApiDocument } from './http/openapi.js';
import { formOf, openTestApi, type TestApi } from './testing/test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({ privateWebhooks: true });
});
afterAll(() => api.close());

test('a foreign id is a 404 on every route, for every method', async () => {
  const file = await api.uploadExamples();
  const job = await api.createJob(file.id);
  const hook = { url: 'http://127.0.0.1:9/nobody-listens' };
  const endpoint = await api.app.inject({ method: 'POST', url: '/webhook_endpoints', headers: api.headers(), payload: hook });
  await api.succeed(job.id, 2);
  const deliveries = await api.inject('GET', `/webhook_endpoints/${endpoint.json().id}/deliveries`);
  const done = await api.getJob(job.id);
  const announced = { purpose: 'fine-tune', filename: 'rows.jsonl', bytes: 9, mime_type: 'text/jsonl' };
  const upload = await api.app.inject({ method: 'POST', url: '/uploads', headers: api.headers(), payload: announced });
  const paths = openApiDocument(api.app)['paths'] as Record<string, Record<string, unknown>>;
  const ids: Record<string, string> = {
    files: file.id,
    jobs: job.id,
    models: done.fine_tuned_model ?? '',
    uploads: upload.json().id,
    ...{ webhook_endpoints: endpoint.json().id, webhook_deliveries: deliveries.json().data[0].id },
  };
  // Bodies of the routes that need one: what is wrong with a body is said before anything is looked up.
  const bodies: Record<string, object> = { complete: { part_ids: ['part_x'] }, clone: {}, '{id}': { enabled: false }, rotate_secret: {} };
  const walked: string[] = [];
  for (const [path, operations] of Object.entries(paths)) {
    if (!path.includes('{id}')) continue;
    const kind = Object.keys(ids).find((k) => path.includes(`/${k}/{id}`)) ?? '';
    const url = path.replace('{id}', encodeURIComponent(ids[kind] ?? '')).replace('{file}', 'adapter_model.safetensors');
    for (const method of Object.keys(operations)) {
      const form = formOf([{ name: 'data', filename: 'part', content: 'x' }]);
      const body = path.endsWith('/parts') ? form : { headers: {}, body: bodies[path.split('/').at(-1) ?? ''] };
      const request = {
        method: method.toUpperCase() as 'GET',
        url,
        ...(body.body === undefined || method !== 'post' ? {} : { payload: body.body }),
      };
      const headers = { ...api.headers('other'), ...body.headers };
      const foreign = await api.app.inject({ ...request, headers });
      expect({ method, url, status: foreign.statusCode }).toEqual({ method, url, status: 404 });
      const never = await api.app.inject({ ...request, url: url.replaceAll(ids[kind] ?? '', 'nothing'), headers });
      expect(never.json().error.code).toBe(foreign.json().error.code);
      walked.push(`${method} ${path}`);
    }
  }
  // 4 of files, 3 of uploads, 12 of jobs, 2 of models, 7 of webhooks, under two prefixes; a route added later is walked without a change here.
  expect(walked.length).toBeGreaterThanOrEqual(56);
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
