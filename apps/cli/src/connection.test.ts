import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findConnection } from './connection.js';

let data = '';
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'rowsmith-cli-'));
});
afterEach(() => rm(data, { recursive: true }));

test('what `rowsmith up` left in the data folder is found', async () => {
  await writeFile(join(data, 'up.lock'), JSON.stringify({ pid: 1, started: '', url: 'http://127.0.0.1:9999' }));
  await writeFile(join(data, 'api-key'), 'rsk_kept\n');
  expect(await findConnection({ data }, {})).toEqual({ baseUrl: 'http://127.0.0.1:9999', apiKey: 'rsk_kept' });
});

test('flags win over environment, environment over the folder', async () => {
  await writeFile(join(data, 'api-key'), 'rsk_kept');
  const env = { ROWSMITH_URL: 'http://env:1/', ROWSMITH_API_KEY: 'env-key', ROWSMITH_DATA: data };
  expect(await findConnection({}, env)).toEqual({ baseUrl: 'http://env:1', apiKey: 'env-key' });
  expect(await findConnection({ url: 'http://flag:2', apiKey: 'flag-key' }, env)).toEqual({ baseUrl: 'http://flag:2', apiKey: 'flag-key' });
  expect(await findConnection({ data }, {})).toEqual({ baseUrl: 'http://127.0.0.1:8080', apiKey: 'rsk_kept' });
});

test('without a key the message says the three ways to give one', async () => {
  await expect(findConnection({ data }, {})).rejects.toThrow(/--api-key, set ROWSMITH_API_KEY, or run in the folder/);
  await expect(findConnection({ data, url: 'nonsense', apiKey: 'k' }, {})).rejects.toThrow(/must be a URL/);
});
