/** Where a request comes from: a web page of another origin, a proxy, a client that names a project. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
const origin = 'https://console.example';
beforeAll(async () => {
  api = await openTestApi({
    requestsPerMinute: 20,
    env: { ROWSMITH_CORS_ORIGINS: `${origin},https://other.example`, ROWSMITH_TRUSTED_PROXIES: '10.0.0.0/8' },
  });
});
afterAll(() => api.close());

const preflight = (from: string, method: string, headers: string) =>
  api.app.inject({
    method: 'OPTIONS',
    url: '/v1/files/file-x',
    headers: { origin: from, 'access-control-request-method': method, 'access-control-request-headers': headers },
  });

test('a page of a named origin may call with what the openai package sends, and read what it acts on', async () => {
  const wanted = 'authorization,content-type,x-stainless-lang,idempotency-key,last-event-id';
  const allowed = await preflight(origin, 'DELETE', wanted);
  expect(allowed.statusCode).toBe(204);
  expect(allowed.headers['access-control-allow-origin']).toBe(origin);
  expect(String(allowed.headers['access-control-allow-methods']).split(', ')).toEqual(['GET', 'HEAD', 'POST', 'DELETE']);
  expect(allowed.headers['access-control-allow-headers']).toBe(wanted);
  // A failure too, or the page would see nothing but "network error".
  const refused = await api.app.inject({ url: '/v1/models', headers: { origin } });
  expect(refused.statusCode).toBe(401);
  expect(refused.headers['access-control-allow-origin']).toBe(origin);
  const exposed = String(refused.headers['access-control-expose-headers']).split(', ');
  expect(exposed).toEqual(expect.arrayContaining(['x-request-id', 'x-should-retry', 'retry-after-ms', 'etag']));
});

test('a page of any other origin may not', async () => {
  expect((await preflight('https://evil.example', 'GET', 'authorization')).headers['access-control-allow-origin']).toBeUndefined();
  const read = await api.app.inject({ url: '/v1/models', headers: { ...api.headers(), origin: 'https://evil.example' } });
  expect(read.headers['access-control-allow-origin']).toBeUndefined();
});

test("the key says which project a request is of: OpenAI's own ids are passed over, another project's is refused", async () => {
  const project = async (caller: 'main' | 'other') =>
    (await api.app.inject({ url: '/organization/projects/current', headers: api.headers(caller) })).json<{ id: string }>().id;
  const [own, other] = [await project('main'), await project('other')];
  const list = (name: string, id: string) => api.app.inject({ url: '/v1/models', headers: { ...api.headers(), [name]: id } });
  for (const name of ['OpenAI-Project', 'OpenAI-Organization']) {
    for (const id of [own, `proj_${'A'.repeat(24)}`, 'org-from-openai', '']) expect((await list(name, id)).statusCode).toBe(200);
    const refused = await list(name, other);
    expect(refused.statusCode).toBe(401);
    expect(refused.json().error).toEqual({
      message: `${name} names another project than the API key's.`,
      type: 'authentication_error',
      param: null,
      code: 'mismatched_project',
    });
  }
});

test('wrong keys are counted by the address that they come from; only a trusted proxy is believed about it', async () => {
  const guess = async (proxy: string, forwardedFor: string) =>
    (
      await api.app.inject({
        url: '/v1/models',
        remoteAddress: proxy,
        headers: { authorization: 'Bearer guess', 'x-forwarded-for': forwardedFor },
      })
    ).statusCode;
  const statuses = async (proxy: string, address: (i: number) => string) => {
    const seen: number[] = [];
    for (let i = 0; i < 21; i++) seen.push(await guess(proxy, address(i)));
    return seen;
  };
  const limited = [...Array<number>(20).fill(401), 429];
  expect(await statuses('10.1.2.3', () => '198.51.100.1')).toEqual(limited);
  expect(await guess('10.1.2.3', '198.51.100.2')).toBe(401);
  // A stranger that says each time to be somebody else.
  expect(await statuses('203.0.113.5', (i) => `198.51.100.${i + 10}`)).toEqual(limited);
});

test('a browser is told not to guess types, not to frame, and to load nothing from elsewhere', async () => {
  const { headers } = await api.app.inject({ url: '/healthz' });
  expect(headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'SAMEORIGIN',
    'referrer-policy': 'no-referrer',
    'content-security-policy': expect.stringContaining("default-src 'self'"),
  });
  expect(headers['x-powered-by'] ?? headers['server']).toBeUndefined();
});
