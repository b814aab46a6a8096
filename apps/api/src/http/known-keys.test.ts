import type { ApiKeyId, ProjectId } from '@rowsmith/contracts';
import type { ApiKeyStore, AuthenticatedKey, ProjectStore } from '@rowsmith/core';
import { expect, test } from 'vitest';
import { KnownKeys } from './known-keys.js';

const key = { id: 'key' as ApiKeyId, projectId: 'p' as ProjectId } as AuthenticatedKey;

/** What the database would say, and how often it was asked. */
function database() {
  const state = { keys: new Map([['good', key]]), asked: 0, broken: false };
  const keys = {
    findByHash: async (hash: string) => {
      state.asked += 1;
      if (state.broken) throw new Error('away');
      return state.keys.get(hash) ?? null;
    },
    revoke: async (_project: ProjectId, id: string) => {
      if (id === 'good') state.keys.clear();
      return id === 'good';
    },
  } as Partial<ApiKeyStore> as ApiKeyStore;
  const projects = { archive: async () => null } as Partial<ProjectStore> as ProjectStore;
  return { state, keys, projects };
}

test('a key is asked for once a second, however many requests it has', async () => {
  const { state, keys, projects } = database();
  let now = 0;
  const known = new KnownKeys(keys, projects, () => now, 1_000);
  const all = await Promise.all(Array.from({ length: 50 }, () => known.keys.findByHash('good')));
  expect(new Set(all)).toEqual(new Set([key]));
  expect(state.asked).toBe(1);
  now = 999;
  await known.keys.findByHash('good');
  expect(state.asked).toBe(1);
  // Revoked by another process: known after a second.
  state.keys.clear();
  now = 1_000;
  expect(await known.keys.findByHash('good')).toBeNull();
});

test('what this process does to a key or a project counts at once', async () => {
  const { state, keys, projects } = database();
  const known = new KnownKeys(keys, projects, () => 0, 1_000);
  await known.keys.findByHash('good');
  await known.keys.revoke(key.projectId, 'good');
  expect(await known.keys.findByHash('good')).toBeNull();
  state.keys.set('good', key);
  await known.keys.findByHash('good');
  const asked = state.asked;
  await known.projects.archive('p');
  await known.keys.findByHash('good');
  expect(state.asked).toBe(asked + 1);
});

test('a key looked up while it is revoked is not remembered', async () => {
  const { keys, projects } = database();
  let answer: (key: AuthenticatedKey) => void = () => undefined;
  const late = { ...keys, findByHash: () => new Promise<AuthenticatedKey>((done) => (answer = done)) };
  const known = new KnownKeys(late, projects, () => 0, 1_000);
  const asked = known.keys.findByHash('good');
  await known.keys.revoke(key.projectId, 'good');
  answer(key);
  expect(await asked).toBe(key);
  const again = known.keys.findByHash('good');
  expect(again).not.toBe(asked);
  answer(key);
  await again;
});

test('keys that are not there, and failures, are not remembered', async () => {
  const { state, keys, projects } = database();
  const known = new KnownKeys(keys, projects, () => 0, 1_000);
  expect(await known.keys.findByHash('new')).toBeNull();
  state.keys.set('new', key);
  expect(await known.keys.findByHash('new')).toBe(key);
  state.broken = true;
  await expect(known.keys.findByHash('other')).rejects.toThrow('away');
  state.broken = false;
  expect(await known.keys.findByHash('other')).toBeNull();
});
