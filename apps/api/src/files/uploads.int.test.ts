import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { openDatabase } from '@rowsmith/db';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { examplesJsonl, formOf, openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({ maxFileBytes: 100_000, control: { everyMs: 50 } });
});
afterAll(() => api.close());

const post = async (url: string, payload?: object) => {
  const answer = await api.app.inject({ method: 'POST', url, headers: api.headers(), ...(payload ? { payload } : {}) });
  return { status: answer.statusCode, body: answer.json() };
};
const announce = async (bytes: number, more: object = {}) => {
  const answer = await post('/v1/uploads', { purpose: 'fine-tune', filename: 'rows.jsonl', bytes, mime_type: 'text/jsonl', ...more });
  expect(answer).toMatchObject({ status: 200, body: { object: 'upload', status: 'pending', bytes, file: null } });
  return String(answer.body.id);
};
const sendPart = async (id: string, content: string | Buffer) => {
  const form = formOf([{ name: 'data', filename: 'blob', content: content.toString('latin1') }]);
  // The helper's text is UTF-8; tests send ASCII or Latin-1 bytes.
  const body = Buffer.from(form.body.toString('utf8'), 'latin1');
  const answer = await api.app.inject({
    method: 'POST',
    url: `/v1/uploads/${id}/parts`,
    headers: { ...api.headers(), ...form.headers },
    payload: body,
  });
  return { status: answer.statusCode, body: answer.json() };
};
const settled = { timeout: 20_000, interval: 20 };
const noPartsLeft = () =>
  vi.waitFor(async () => expect((await api.storedPaths()).filter((n) => n.startsWith('part_'))).toEqual([]), settled);

test('parts sent in any order become the file in the order that is named; nothing of them stays', async () => {
  const content = examplesJsonl(40);
  const cuts = [content.slice(0, 500), content.slice(500, 501), content.slice(501)];
  const id = await announce(content.length);
  const ids: string[] = [];
  for (const i of [2, 0, 1]) {
    const part = await sendPart(id, cuts[i] ?? '');
    expect(part).toMatchObject({ status: 200, body: { object: 'upload.part', upload_id: id } });
    ids[i] = part.body.id;
  }
  const md5 = createHash('md5').update(content).digest('hex');
  const done = await post(`/v1/uploads/${id}/complete`, { part_ids: ids, md5 });
  expect(done).toMatchObject({
    status: 200,
    body: { id, status: 'completed', file: { object: 'file', status: 'processed', bytes: content.length, filename: 'rows.jsonl' } },
  });
  expect((await api.inject('GET', `/v1/files/${done.body.file.id}/content`)).payload).toBe(content);
  expect(await post(`/v1/uploads/${id}/complete`, { part_ids: ids })).toMatchObject({
    status: 400,
    body: { error: { code: 'upload_completed' } },
  });
  expect(await sendPart(id, 'x')).toMatchObject({ status: 400 });
  await noPartsLeft();
});

test('what is wrong with the parts is said, and they can be completed afterwards', async () => {
  const content = examplesJsonl(4);
  const half = content.length / 2 + 3;
  const id = await announce(content.length);
  const a = (await sendPart(id, content.slice(0, half))).body.id;
  const b = (await sendPart(id, content.slice(half))).body.id;
  expect(await sendPart(id, 'x')).toMatchObject({ status: 400, body: { error: { code: 'upload_too_large' } } });
  const attempt = async (payload: object) => (await post(`/v1/uploads/${id}/complete`, payload)).body.error;
  expect(await attempt({ part_ids: [a] })).toMatchObject({ code: 'upload_size_mismatch', param: 'part_ids' });
  expect(await attempt({ part_ids: [a, a] })).toMatchObject({ code: 'invalid_value', param: 'part_ids' });
  expect(await attempt({ part_ids: [a, 'part_none'] })).toMatchObject({ code: 'part_not_found', param: 'part_ids[1]' });
  expect(await attempt({ part_ids: [b, a] })).toMatchObject({ code: 'invalid_training_file' });
  expect(await attempt({ part_ids: [a, b], md5: '0'.repeat(32) })).toMatchObject({ code: 'md5_mismatch', param: 'md5' });
  const base64 = createHash('md5').update(content).digest('base64');
  expect(await post(`/v1/uploads/${id}/complete`, { part_ids: [a, b], md5: base64 })).toMatchObject({ status: 200 });
});

test('two completions at once make one file', async () => {
  const content = examplesJsonl(4);
  const id = await announce(content.length);
  const part = (await sendPart(id, content)).body.id;
  const before = (await api.storedPaths()).filter((name) => name.startsWith('file-')).length;
  const both = await Promise.all([1, 2].map(() => post(`/v1/uploads/${id}/complete`, { part_ids: [part] })));
  expect(both.map(({ status }) => status).sort()).toEqual([200, 400]);
  expect((await api.storedPaths()).filter((name) => name.startsWith('file-'))).toHaveLength(before + 1);
});

test('cancel; then nothing can be added, and the parts go', async () => {
  const id = await announce(10);
  await sendPart(id, '12345');
  expect(await post(`/v1/uploads/${id}/cancel`)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  for (const answer of [await post(`/v1/uploads/${id}/cancel`), await sendPart(id, 'x')])
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'upload_cancelled' } } });
  await noPartsLeft();
});

test('an upload whose hour is over is expired; its parts go; so does a file whose life is over, unless a job reads it', async () => {
  const content = examplesJsonl(8);
  const id = await announce(content.length, { expires_after: { anchor: 'created_at', seconds: 3600 } });
  const part = (await sendPart(id, content)).body.id;
  const { file } = (await post(`/v1/uploads/${id}/complete`, { part_ids: [part] })).body;
  expect(file.expires_at).toBe(file.created_at + 3600);
  const late = await announce(10);
  await sendPart(late, '12345');
  const job = await api.createJob(file.id);
  const database = openDatabase(api.databaseUrl);
  await database.prisma.$executeRaw`UPDATE upload SET expires_at = clock_timestamp() WHERE id = ${late}`;
  await database.prisma.$executeRaw`UPDATE file SET expires_at = clock_timestamp() WHERE id = ${file.id}`;
  await database.close();
  expect(await post(`/v1/uploads/${late}/complete`, { part_ids: ['part_x'] })).toMatchObject({
    status: 400,
    body: { error: { code: 'upload_expired' } },
  });
  await noPartsLeft();
  expect((await api.inject('GET', `/v1/files/${file.id}`)).statusCode).toBe(200);
  await api.inject('POST', `/jobs/${job.id}/cancel`);
  await vi.waitFor(async () => expect((await api.inject('GET', `/v1/files/${file.id}`)).statusCode).toBe(404), settled);
  expect(await api.storedPaths()).not.toContain(file.id);
});

test('gzip is unpacked; its packed bytes are what is announced and hashed; what unpacks to too much is refused', async () => {
  const content = examplesJsonl(40);
  const packed = gzipSync(content);
  const id = await announce(packed.length, { filename: 'rows.jsonl.gz' });
  const part = (await sendPart(id, packed)).body.id;
  const md5 = createHash('md5').update(packed).digest('hex');
  const done = await post(`/v1/uploads/${id}/complete`, { part_ids: [part], md5 });
  expect(done).toMatchObject({ status: 200, body: { file: { filename: 'rows.jsonl', bytes: content.length } } });
  expect((await api.inject('GET', `/files/${done.body.file.id}/content`)).payload).toBe(content);

  const bomb = gzipSync(examplesJsonl(5_000));
  expect(bomb.length).toBeLessThan(100_000);
  const second = await announce(bomb.length);
  const only = (await sendPart(second, bomb)).body.id;
  expect(await post(`/v1/uploads/${second}/complete`, { part_ids: [only] })).toMatchObject({
    status: 413,
    body: { error: { code: 'file_too_large' } },
  });
});

test('bodies are checked like all others', async () => {
  const body = { purpose: 'fine-tune', filename: 'a', bytes: 1, mime_type: 'text/jsonl' };
  expect(await post('/v1/uploads', { ...body, bytes: 100_001 })).toMatchObject({ status: 413 });
  expect(await post('/v1/uploads', { ...body, purpose: 'vision' })).toMatchObject({ status: 400, body: { error: { param: 'purpose' } } });
  expect(await post('/v1/uploads', { ...body, size: 1 })).toMatchObject({ status: 400, body: { error: { code: 'unknown_parameter' } } });
  expect(await post('/v1/uploads/upload_none/cancel')).toMatchObject({ status: 404, body: { error: { code: 'upload_not_found' } } });
});
