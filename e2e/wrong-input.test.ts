/** What a new user gets wrong: each a clear 4xx in OpenAI's shape, and nothing left behind. */
import { request as httpRequest } from 'node:http';
import type { ApiErrorBody, JobObject } from '@rowsmith/contracts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newDataDir, type Running, removeDataDir, up } from './support/installation.js';
import { post, shortJob, uploadExample, uploadText } from './support/jobs.js';

let dataDir = '';
let service: Running;
beforeAll(async () => {
  dataDir = await newDataDir();
  service = await up(dataDir);
});
afterAll(async () => {
  await service.stop();
  await removeDataDir(dataDir);
});

async function refusal(response: Promise<Response> | Response, status: number): Promise<ApiErrorBody['error']> {
  const answered = await response;
  const body = (await answered.json()) as ApiErrorBody;
  expect({ status: answered.status, body }).toMatchObject({ status });
  expect(Object.keys(body.error).sort()).toEqual(['code', 'message', 'param', 'type']);
  expect(answered.headers.get('x-request-id')).toBeTruthy();
  return body.error;
}
const counts = async () => ({
  files: (await service.json<{ data: unknown[] }>('/v1/files')).data.length,
  jobs: (await service.json<{ data: unknown[] }>('/jobs')).data.length,
});
const row = (content: string) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content },
    ],
  });

test('files that cannot be trained on are refused with the line, and are not kept', async () => {
  const before = await counts();
  const broken = Array.from({ length: 50 }, (_, i) => (i === 36 ? '{"messages": [' : row(`answer ${i}`))).join('\n');
  expect((await refusal(uploadText(service, broken), 400)).message).toMatch(/line 37/i);
  expect((await refusal(uploadText(service, ''), 400)).message).toMatch(/empty/i);
  const roles = `${row('fine')}\n${JSON.stringify({ messages: [{ role: 'robot', content: 'x' }] })}`;
  expect((await refusal(uploadText(service, roles), 400)).message).toMatch(/line 2.*role/is);
  const two = `${row('ok')}\n{}\n${row('ok')}\nnonsense\n`;
  const message = (await refusal(uploadText(service, two), 400)).message;
  expect(message).toMatch(/line 2/i);
  expect(message).toMatch(/line 4/i);
  expect(await counts()).toEqual(before);
});

test('a claim of 5 GB is refused at once', async () => {
  const { hostname, port } = new URL(service.url);
  const status = await new Promise<number | undefined>((done, failed) => {
    const request = httpRequest(
      {
        hostname,
        port,
        path: '/v1/files',
        method: 'POST',
        headers: {
          authorization: `Bearer ${service.apiKey}`,
          'content-type': 'multipart/form-data; boundary=x',
          'content-length': 5_000_000_000,
        },
      },
      (response) => {
        done(response.statusCode);
        request.destroy();
      },
    );
    request.on('error', failed);
    request.write('--x\r\n');
  });
  expect(status).toBe(413);
});

test('requests that name what is not there, or say what is not understood', async () => {
  const before = await counts();
  const file = await uploadExample(service, 'train', 3);
  await refusal(fetch(`${service.url}/v1/files`), 401);
  await refusal(fetch(`${service.url}/jobs`, { headers: { authorization: 'Bearer wrong-key-entirely' } }), 401);
  expect((await refusal(service.request('/jobs', post({ ...shortJob(file.id, 2), model: 'gpt-99' })), 404)).param).toBe('model');
  expect((await refusal(service.request('/jobs', post(shortJob('file-000000000000000000000000', 2))), 400)).param).toBe('training_file');
  const typo = await refusal(service.request('/jobs', post({ ...shortJob(file.id, 2), learningRate: 1 })), 400);
  expect(typo).toMatchObject({ code: 'unknown_parameter', param: 'learningRate' });
  const nested = await refusal(service.request('/jobs', post({ ...shortJob(file.id, 2), row_sparse: { rowz: 3 } })), 400);
  expect(nested.param).toBe('row_sparse.rowz');
  await refusal(service.request('/jobs', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{' }), 400);
  await refusal(service.request('/nowhere'), 404);
  await refusal(service.request('/jobs/ftjob-000000000000000000000000'), 404);
  await service.json(`/v1/files/${file.id}`, { method: 'DELETE' });
  expect(await counts()).toEqual(before);
});

test('a duplicate post with the same key is one job; cancelling twice is said clearly', async () => {
  const file = await uploadExample(service, 'train', 3);
  const body = shortJob(file.id, 1000);
  const keyed = (b: unknown) => {
    const init = post(b);
    return { ...init, headers: { ...init.headers, 'idempotency-key': 'once' } };
  };
  const first = await service.json<JobObject>('/jobs', keyed(body));
  const second = await service.request('/jobs', keyed(body));
  expect(second.headers.get('idempotent-replayed')).toBe('true');
  expect(((await second.json()) as JobObject).id).toBe(first.id);
  await refusal(service.request('/jobs', keyed({ ...body, seed: 12 })), 422);
  await service.json(`/jobs/${first.id}/cancel`, { method: 'POST' });
  for (;;) {
    const job = await service.json<JobObject>(`/jobs/${first.id}`);
    if (job.status === 'cancelled') break;
    await new Promise((next) => setTimeout(next, 100));
  }
  const again = await service.request(`/jobs/${first.id}/cancel`, { method: 'POST' });
  expect(again.headers.get('x-should-retry')).toBe('false');
  expect((await refusal(again, 400)).message).toMatch(/cancelled/);
});
