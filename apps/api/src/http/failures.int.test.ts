/** Whatever fails, the body has OpenAI's four keys and the reply has a request id. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({ requestsPerMinute: 500 });
});
afterAll(() => api.close());

const json = { 'content-type': 'application/json' };
test.each([
  ['no key', { method: 'GET', url: '/jobs', headers: {} }, 401, null],
  ['a wrong key', { method: 'GET', url: '/jobs', headers: { authorization: 'Bearer wrong-key-entirely' } }, 401, 'invalid_api_key'],
  ['another scheme', { method: 'GET', url: '/jobs', headers: { authorization: 'Basic abc' } }, 401, null],
  ['no key on /metrics', { method: 'GET', url: '/metrics', headers: {} }, 401, null],
  ['an unknown URL', { method: 'GET', url: '/v1/chat/completions' }, 404, 'unknown_url'],
  ['a wrong method', { method: 'PUT', url: '/v1/files' }, 405, 'method_not_allowed'],
  ['a wrong method on an object', { method: 'PATCH', url: '/jobs/ftjob-1' }, 405, 'method_not_allowed'],
  ['a malformed URL', { method: 'GET', url: '/jobs/%zz' }, 400, 'invalid_url'],
  ['broken JSON', { method: 'POST', url: '/jobs', headers: json, payload: '{' }, 400, 'invalid_json'],
  ['__proto__', { method: 'POST', url: '/jobs', headers: json, payload: '{"__proto__":{"a":1}}' }, 400, 'invalid_json'],
  ['no body', { method: 'POST', url: '/jobs', headers: json, payload: '' }, 400, 'invalid_type'],
  [
    '20,000 nested arrays',
    { method: 'POST', url: '/jobs', headers: json, payload: `{"model":${'['.repeat(20_000)}${']'.repeat(20_000)}}` },
    400,
    'invalid_type',
  ],
  [
    'a large body',
    { method: 'POST', url: '/jobs', headers: json, payload: JSON.stringify({ model: 'x'.repeat(600_000) }) },
    413,
    'request_too_large',
  ],
  ['text', { method: 'POST', url: '/jobs', headers: { 'content-type': 'text/plain' }, payload: 'x' }, 415, 'unsupported_content_type'],
  ['a query that is no number', { method: 'GET', url: '/jobs?limit=ten' }, 400, 'invalid_type'],
  ['an unknown query field', { method: 'GET', url: '/jobs?lmit=1' }, 400, 'unknown_parameter'],
  ['an endless id', { method: 'GET', url: `/jobs/${'x'.repeat(200)}` }, 400, 'invalid_value'],
] as const)('%s', async (_name, request, status, code) => {
  const headers =
    'headers' in request && Object.keys(request.headers).length === 0
      ? {}
      : { ...api.headers(), ...('headers' in request ? request.headers : {}) };
  const reply = await api.app.inject({ ...request, headers });
  expect(reply.statusCode).toBe(status);
  expect(Object.keys(reply.json())).toEqual(['error']);
  expect(Object.keys(reply.json().error).sort()).toEqual(['code', 'message', 'param', 'type']);
  expect(reply.json().error.code).toBe(code);
  expect(reply.headers['x-request-id']).toMatch(/^req_/);
  expect(reply.headers['content-type']).toBe('application/json; charset=utf-8');
});

test("the caller's request id is echoed, unless it could harm a log", async () => {
  const id = async (given: string) =>
    (await api.app.inject({ method: 'GET', url: '/healthz', headers: { 'x-request-id': given } })).headers['x-request-id'];
  expect(await id('trace-1:2.3')).toBe('trace-1:2.3');
  expect(await id('two words')).toMatch(/^req_/);
  expect(await id('x'.repeat(200))).toMatch(/^req_/);
});

test("both headers carry a key, Azure's too", async () => {
  for (const headers of [{ authorization: `Bearer ${api.key}` }, { authorization: `bearer  ${api.key}` }, { 'api-key': api.key }]) {
    expect((await api.app.inject({ method: 'GET', url: '/models', headers })).statusCode).toBe(200);
  }
});

test('a 5xx tells nothing of what happened inside', async () => {
  const broken = await openTestApi();
  await broken.breakDatabase();
  const reply = await broken.inject('GET', '/jobs');
  expect(reply.statusCode).toBe(503);
  expect(reply.headers['retry-after']).toBe('2');
  expect(reply.json().error).toMatchObject({ type: 'server_error', param: null, code: 'service_unavailable' });
  expect(reply.payload).not.toMatch(/postgres|ECONN|select|127\.0|prisma|pool/i);
  const ready = await broken.app.inject({ method: 'GET', url: '/readyz' });
  expect([ready.statusCode, ready.json().checks.database]).toEqual([503, 'not available']);
  await broken.close();
});

test('an overloaded server turns requests away until it has caught up, its health excepted', async () => {
  const busy = await openTestApi({ maxEventLoopDelayMs: 150, postgres: api.postgres });
  const overload = async () => {
    for (let turn = 0; turn < 8; turn++) {
      for (const end = performance.now() + 200; performance.now() < end; );
      await new Promise(setImmediate);
    }
  };
  // The mean of a second is what counts: a while of nothing else makes it the delay.
  const replyAfter = async (work: () => Promise<unknown>, status: number) => {
    for (let attempt = 0; attempt < 20; attempt++) {
      await work();
      const reply = await busy.inject('GET', '/models');
      if (reply.statusCode === status) return reply;
    }
    throw new Error(`no answer was ${status}`);
  };
  const reply = await replyAfter(overload, 503);
  expect(reply.json().error).toMatchObject({ type: 'server_error', code: 'service_unavailable', message: 'The server is overloaded.' });
  expect(reply.headers['retry-after']).toBe('2');
  expect((await busy.app.inject({ method: 'GET', url: '/healthz' })).statusCode).toBe(200);
  await replyAfter(() => sleep(500), 200);
  await busy.close();
});

test('too many requests: 429 that says when to come back', async () => {
  const limited = await openTestApi({ requestsPerMinute: 3, postgres: api.postgres });
  for (let i = 0; i < 3; i++) expect((await limited.inject('GET', '/models')).statusCode).toBe(200);
  const reply = await limited.inject('GET', '/models');
  expect([reply.statusCode, reply.json().error.code, reply.json().error.type]).toEqual([429, 'rate_limit_exceeded', 'rate_limit_error']);
  expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
  expect(Number(reply.headers['retry-after-ms'])).toBeGreaterThan(0);
  // Another key is not held back, nor is the health of the process.
  expect((await limited.app.inject({ method: 'GET', url: '/models', headers: limited.headers('other') })).statusCode).toBe(200);
  expect((await limited.app.inject({ method: 'GET', url: '/healthz' })).statusCode).toBe(200);
  await limited.close();
});

test.each([
  [`GET /jobs HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431, 'request_header_too_large'],
  ['GET /jobs HTTP/1.1\r\nhost: a\r\nno colon here\r\n\r\n', 400, 'malformed_request'],
])('what the HTTP parser refuses has the same shape', async (bytes, status, code) => {
  const listening = await openTestApi({ listen: true, postgres: api.postgres });
  const socket = connect(Number(new URL(listening.url).port), '127.0.0.1');
  socket.write(bytes);
  const reply = await text(socket);
  expect(reply).toMatch(new RegExp(`^HTTP/1.1 ${status} .*\\r\\n(.*\\r\\n)*x-request-id: req_`));
  expect(JSON.parse(reply.slice(reply.indexOf('\r\n\r\n')))).toMatchObject({ error: { code, param: null, type: 'invalid_request_error' } });
  await listening.close();
});
