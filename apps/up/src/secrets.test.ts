import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSecrets } from './secrets.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-secrets-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('a key is made once, is shown once, and only its owner can read it', async () => {
  const first = await openSecrets(folder, null);
  const second = await openSecrets(folder, null);
  expect(first.apiKey).toMatch(/^rsk_[0-9A-Za-z]{40}$/);
  expect([first.apiKeyIsFresh, second.apiKeyIsFresh]).toEqual([true, false]);
  expect(second.apiKey).toBe(first.apiKey);
  expect(second.pepper).toBe(first.pepper);
  for (const file of ['api-key', 'pepper']) expect((await stat(join(folder, file))).mode & 0o777).toBe(0o600);
});

test('a given key is used and not stored', async () => {
  const secrets = await openSecrets(folder, 'my-own-key');
  expect(secrets).toMatchObject({ apiKey: 'my-own-key', apiKeyIsFresh: false });
  expect(await readdir(folder)).toEqual(['pepper', 'worker-id']);
});

test('twenty at once agree on one key and leave no temporary files', async () => {
  const all = await Promise.all(Array.from({ length: 20 }, () => openSecrets(folder, null)));
  expect(new Set(all.map((s) => s.apiKey)).size).toBe(1);
  expect(all.filter((s) => s.apiKeyIsFresh)).toHaveLength(1);
  expect((await readdir(folder)).sort()).toEqual(['api-key', 'pepper', 'worker-id']);
});
