/** Ids, names and files of adapters that try to be paths: every route with a parameter answers as if there were no such object, and no name leaves its header. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openApiDocument } from './http/openapi.js';
import { examplesJsonl, formOf, openTestApi, type TestApi } from './testing/test-api.js';

const tricks = [
  '..%2f..%2f..%2fetc%2fpasswd',
  '..%5c..%5cwindows',
  '%2e%2e',
  '%2fetc%2fpasswd',
  '%00',
  'file-%00000000000000000000000000',
  '....%2f%2f',
  '%c0%ae%c0%ae%2f',
  '%ff',
  '%0d%0aset-cookie:%20a=b',
  '__proto__',
  'constructor',
  "'%20OR%201=1--",
  '%24%7b7*7%7d',
  'a'.repeat(500),
];
let api: TestApi;
beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());

test('no route takes a path for an id', async () => {
  const document = openApiDocument(api.app)['paths'] as Record<string, Record<string, unknown>>;
  const routes = Object.entries(document).flatMap(([path, operations]) =>
    // The short paths have the same handlers.
    path.startsWith('/v1/') && path.includes('{')
      ? Object.keys(operations).map((method) => ({ path, method: method.toUpperCase() as 'GET' | 'POST' | 'DELETE' }))
      : [],
  );
  expect(routes.length).toBeGreaterThan(20);
  const wrong: string[] = [];
  for (const { path, method } of routes)
    for (const trick of tricks) {
      const url = path.replace(/\{\w+\}/g, trick);
      // What the client itself makes another path of is a request for that one.
      if (new URL(url, 'http://host').pathname !== url) continue;
      const answer = await api.app.inject({ method, url, headers: api.headers(), ...(method === 'POST' ? { payload: {} } : {}) });
      const body = String(answer.headers['content-type']).startsWith('application/json')
        ? (answer.json() as { error?: { message?: string } })
        : {};
      const refused = answer.statusCode >= 400 && answer.statusCode < 500 && typeof body.error?.message === 'string';
      if (!refused || answer.headers['set-cookie'] !== undefined || answer.payload.includes('root:x:'))
        wrong.push(`${answer.statusCode} ${method} ${url}`);
    }
  expect(wrong).toEqual([]);
});

test('names of files are names: shown, never followed, and they end no header', async () => {
  for (const filename of [
    '../../../etc/passwd',
    '..\\..\\x.jsonl',
    '/etc/passwd',
    'a;b=c.jsonl',
    'ü\u202e.jsonl',
    '.tmp-1',
    'a'.repeat(300),
  ]) {
    const form = formOf([
      { name: 'file', filename, content: examplesJsonl(1) },
      { name: 'purpose', content: 'fine-tune' },
    ]);
    const made = await api.app.inject({
      method: 'POST',
      url: '/files',
      headers: { ...api.headers(), ...form.headers },
      payload: form.body,
    });
    if (made.statusCode !== 200) {
      expect(made.statusCode, filename).toBe(400);
      continue;
    }
    const { id, filename: shown } = made.json<{ id: string; filename: string }>();
    expect(shown).not.toMatch(/[/\\]|\p{Cc}/u);
    const content = await api.inject('GET', `/files/${id}/content`);
    expect(content.payload).toBe(examplesJsonl(1));
    expect(content.headers['content-disposition']).toMatch(/^attachment; filename="[\w.-]*"; filename\*=UTF-8''[\w.%~!-]*$/);
  }
  expect((await api.storedPaths()).filter((name) => /passwd|x\.jsonl/.test(name))).toEqual([]);
});

test('an upload in parts may be called what it likes, and is answered', async () => {
  for (const filename of ['../x', '\ud800', 'a\r\nset-cookie: a=b', '\u0000', '__proto__']) {
    const payload = { purpose: 'fine-tune', filename, bytes: 9, mime_type: 'text/jsonl' };
    const answer = await api.app.inject({ method: 'POST', url: '/uploads', headers: api.headers(), payload });
    expect([200, 400], `${JSON.stringify(filename)}: ${answer.payload}`).toContain(answer.statusCode);
  }
});
