import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { chatRow, examplesJsonl, formOf, openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({ listen: true, maxFileBytes: 100_000 });
});
afterAll(() => api.close());

const post = (parts: Parameters<typeof formOf>[0], tail?: string) => {
  const form = formOf(parts, tail);
  return api.app.inject({ method: 'POST', url: '/v1/files', headers: { ...api.headers(), ...form.headers }, payload: form.body });
};
const jsonl = (content: string, filename = 'rows.jsonl') => ({ name: 'file', filename, content });
const purpose = { name: 'purpose', content: 'fine-tune' };
/** Rows of the table, objects, and temporary files on disk: all that an upload could leave. */
const everything = async () => ({ rows: (await api.inject('GET', '/files')).json().data.length, stored: await api.storedPaths() });

test('upload, read, ranges, conditional reads, delete', async () => {
  const before = await everything();
  const text = examplesJsonl(5);
  // The SDK sends the file before the purpose, curl as the user typed it.
  for (const order of [
    [jsonl(text), purpose],
    [purpose, jsonl(text)],
  ]) {
    const created = await post(order);
    expect(created.statusCode).toBe(200);
    const file = created.json();
    expect(file).toEqual({
      id: expect.stringMatching(/^file-[0-9A-Za-z]{24}$/),
      object: 'file',
      bytes: Buffer.byteLength(text),
      created_at: expect.any(Number),
      filename: 'rows.jsonl',
      purpose: 'fine-tune',
      status: 'processed',
      status_details: null,
      expires_at: null,
    });
    expect((await api.inject('GET', `/v1/files/${file.id}`)).json()).toEqual(file);
    const whole = await api.inject('GET', `/files/${file.id}/content`);
    expect(whole.payload).toBe(text);
    const etag = `"${createHash('sha256').update(text).digest('hex')}"`;
    expect(whole.headers).toMatchObject({ etag, 'accept-ranges': 'bytes', 'content-length': String(Buffer.byteLength(text)) });
    const content = (headers: Record<string, string>) =>
      api.app.inject({ method: 'GET', url: `/files/${file.id}/content`, headers: { ...api.headers(), ...headers } });
    const part = await content({ range: 'bytes=2-5' });
    expect([part.statusCode, part.payload, part.headers['content-range']]).toEqual([206, text.slice(2, 6), `bytes 2-5/${text.length}`]);
    expect((await content({ range: 'bytes=2-5', 'if-range': '"old"' })).statusCode).toBe(200);
    const outside = await content({ range: `bytes=${text.length}-` });
    expect([outside.statusCode, outside.headers['content-range'], outside.json().error.code]).toEqual([
      416,
      `bytes */${text.length}`,
      'range_not_satisfiable',
    ]);
    const same = await content({ 'if-none-match': etag });
    expect([same.statusCode, same.payload]).toEqual([304, '']);
    expect((await api.inject('DELETE', `/files/${file.id}`)).json()).toEqual({ id: file.id, object: 'file', deleted: true });
    for (const url of [`/files/${file.id}`, `/files/${file.id}/content`]) expect((await api.inject('GET', url)).statusCode).toBe(404);
    expect((await api.inject('DELETE', `/files/${file.id}`)).statusCode).toBe(404);
  }
  expect(await everything()).toEqual(before);
});

test('lists: order, pages, purpose', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) ids.push((await post([jsonl(examplesJsonl(1)), purpose])).json().id);
  const list = async (query: string) => (await api.inject('GET', `/files?${query}`)).json();
  const idsOf = (page: { data: { id: string }[] }) => page.data.map((f) => f.id);
  expect(idsOf(await list('order=desc'))).toEqual([...ids].reverse());
  expect(idsOf(await list('order=asc'))).toEqual(ids);
  const first = await list('limit=2');
  expect([idsOf(first), first.has_more]).toEqual([[ids[2], ids[1]], true]);
  const second = await list(`limit=2&after=${first.data[1].id}`);
  expect([idsOf(second), second.has_more]).toEqual([[ids[0]], false]);
  expect(idsOf(await list('purpose=fine-tune-results'))).toEqual([]);
});

const broken = Array.from({ length: 50 }, (_, i) => (i === 36 ? '{"messages": [' : chatRow(`answer ${i}`))).join('\n');
const badRole = `${chatRow('fine')}\n${JSON.stringify({ messages: [{ role: 'robot', content: 'x' }] })}`;

test.each([
  ['an empty file', [jsonl(''), purpose], 'empty_file', 'file', /empty/],
  ['broken JSON on line 37', [jsonl(broken), purpose], 'invalid_training_file', 'file', /line 37/i],
  ['a wrong role', [jsonl(badRole), purpose], 'invalid_training_file', 'file', /line 2.*role/i],
  [
    'two bad lines',
    [jsonl(`${chatRow('ok')}\n{}\n${chatRow('ok')}\nnonsense\n`), purpose],
    'invalid_training_file',
    'file',
    /2 errors in 2 lines.*Line 2.*Line 4/,
  ],
  ['no file', [purpose], 'missing_required_parameter', 'file', /file/],
  ['no purpose', [jsonl(examplesJsonl(1))], 'missing_required_parameter', 'purpose', /purpose/],
  ['two files', [purpose, jsonl(examplesJsonl(1)), jsonl(examplesJsonl(1))], 'too_many_files', 'file', /one file/],
  ['another purpose', [{ name: 'purpose', content: 'assistants' }, jsonl(examplesJsonl(1))], 'invalid_value', 'purpose', /fine-tune/],
  [
    'another purpose, after the file',
    [jsonl(examplesJsonl(1)), { name: 'purpose', content: 'assistants' }],
    'invalid_value',
    'purpose',
    /fine-tune/,
  ],
  ['the file as text', [purpose, { name: 'file', content: chatRow('x') }], 'invalid_type', 'file', /file=@/],
  ['an unknown field', [purpose, { name: 'expires', content: '1' }, jsonl(examplesJsonl(1))], 'unknown_parameter', 'expires', /expires/],
  ['a file under another name', [purpose, { name: 'data', filename: 'a', content: chatRow('x') }], 'unknown_parameter', 'data', /'file'/],
])('%s: 400, and nothing is left', async (_name, parts, code, param, message) => {
  const before = await everything();
  const refused = await post(parts);
  expect(refused.statusCode).toBe(400);
  expect(refused.json().error).toEqual({ message: expect.stringMatching(message), type: 'invalid_request_error', param, code });
  expect(await everything()).toEqual(before);
});

test('a form that breaks off, a file that grows too large, another content type', async () => {
  const before = await everything();
  const cut = await post([purpose, jsonl(examplesJsonl(3))], '');
  expect([cut.statusCode, cut.json().error.code]).toEqual([400, 'malformed_form']);
  const large = await post([purpose, jsonl(examplesJsonl(2_000))]);
  expect([large.statusCode, large.json().error.code]).toEqual([413, 'file_too_large']);
  const json = await api.app.inject({ method: 'POST', url: '/files', headers: api.headers(), payload: { file: 'x' } });
  expect([json.statusCode, json.json().error.code]).toEqual([415, 'unsupported_content_type']);
  expect(await everything()).toEqual(before);
});

test('a claim above the limit is answered before the body is sent', async () => {
  const { hostname, port } = new URL(api.url);
  const answer = await new Promise<{ status: number | undefined; body: string }>((done, failed) => {
    const headers = { ...api.headers(), 'content-type': 'multipart/form-data; boundary=x', 'content-length': 5_000_000_000 };
    const request = httpRequest({ hostname, port, path: '/v1/files', method: 'POST', headers }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => {
        done({ status: response.statusCode, body });
        request.destroy();
      });
    });
    request.on('error', failed);
    request.write('--x\r\n');
  });
  expect(answer.status).toBe(413);
  expect(JSON.parse(answer.body).error.code).toBe('file_too_large');
});

test('a client that hangs up half way leaves nothing', async () => {
  const before = await everything();
  const { hostname, port } = new URL(api.url);
  const form = formOf([purpose, jsonl(examplesJsonl(200))]);
  const socket = connect(Number(port), hostname);
  const headers = { ...api.headers(), ...form.headers, host: hostname, 'content-length': String(form.body.length) };
  socket.write(
    `POST /v1/files HTTP/1.1\r\n${Object.entries(headers)
      .map(([k, v]) => `${k}: ${v}\r\n`)
      .join('')}\r\n`,
  );
  socket.write(form.body.subarray(0, form.body.length / 2));
  // It has begun to write when its temporary file is there.
  await vi.waitFor(async () => expect((await api.storedPaths()).length).toBeGreaterThan(before.stored.length), {
    interval: 5,
    timeout: 10_000,
  });
  socket.destroy();
  await vi.waitFor(async () => expect(await everything()).toEqual(before), { interval: 20, timeout: 10_000 });
});

test('names of files are for show only', async () => {
  const created = await post([jsonl(examplesJsonl(1), '../../etc/passwd'), purpose]);
  expect(created.json().filename).toBe('passwd');
  const odd = await post([jsonl(examplesJsonl(1), 'zwei "Zeilen" é.jsonl'), purpose]);
  const content = await api.inject('GET', `/files/${odd.json().id}/content`);
  expect(content.statusCode).toBe(200);
  expect(content.headers['content-disposition']).toMatch(/^attachment; filename="[\w.-]+"; filename\*=UTF-8''[\w.%-]+$/);
});

test('a file that a waiting job reads cannot be deleted', async () => {
  const file = await api.uploadExamples();
  const job = await api.createJob(file.id);
  const refused = await api.inject('DELETE', `/files/${file.id}`);
  expect([refused.statusCode, refused.json().error.code, refused.headers['x-should-retry']]).toEqual([409, 'file_in_use', 'false']);
  await api.inject('POST', `/jobs/${job.id}/cancel`);
  expect((await api.inject('DELETE', `/files/${file.id}`)).statusCode).toBe(200);
});
