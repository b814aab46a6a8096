import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { makeHttp } from './http.js';
import { uploadFile } from './upload.js';

/** A server that answers each request with what the test says; the real one is in apps/api (client.int.test.ts). */
let server: Server;
async function answering(answer: (path: string, body: string) => { status: number; body: object }) {
  const seen: string[] = [];
  server = createServer(async (request, response) => {
    const path = String(request.url);
    const { status, body } = answer(path, await text(request));
    seen.push(path);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { seen, http: makeHttp(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'key', globalThis.fetch) };
}
afterEach(() => new Promise((done) => server.close(done)));
const hash = (value: string) => createHash('sha256').update(value).digest('hex').slice(0, 8);

test('a part that met a failing server is sent again, alone', async () => {
  let broken = 1;
  const { seen, http } = await answering((path, body) => {
    if (path === '/v1/uploads') return { status: 200, body: { id: 'upload_1', ...JSON.parse(body) } };
    if (path.endsWith('/complete')) return { status: 200, body: { file: { id: 'file-1', parts: JSON.parse(body).part_ids } } };
    const content = /\r\n\r\n([\s\S]*)\r\n--/.exec(body)?.[1] ?? '';
    return content === 'cd' && broken-- > 0
      ? { status: 503, body: { error: { message: 'Busy.', type: 'server_error', param: null, code: null } } }
      : { status: 200, body: { id: hash(content) } };
  });
  const told: number[] = [];
  const file = await uploadFile(http, new Blob(['abcde']), { partBytes: 2, onProgress: (sent) => told.push(sent) });
  expect(file).toEqual({ id: 'file-1', parts: ['ab', 'cd', 'e'].map(hash) });
  expect(told).toEqual([2, 4, 5]);
  expect(seen.filter((path) => path.endsWith('/parts'))).toHaveLength(4);
});

test('a refused part is not tried again, and nothing stays', async () => {
  const { seen, http } = await answering((path) =>
    path.endsWith('/parts')
      ? { status: 400, body: { error: { message: 'Too much.', type: 'invalid_request_error', param: 'data', code: null } } }
      : { status: 200, body: { id: 'upload_1' } },
  );
  await expect(uploadFile(http, new Blob(['abc']), { partBytes: 2 })).rejects.toThrow('Too much.');
  expect(seen).toEqual(['/v1/uploads', '/v1/uploads/upload_1/parts', '/v1/uploads/upload_1/cancel']);
  await expect(uploadFile(http, new Blob(['abc']), { partBytes: 2 ** 27 })).rejects.toThrow(/1 to 67108864/);
});
