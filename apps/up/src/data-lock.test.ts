import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DataFolderBusyError, lockDataFolder, lockOwner } from './data-lock.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-lock-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('a second owner is refused by name until the first lets go', async () => {
  const lock = await lockDataFolder(folder);
  await lock.publish('http://127.0.0.1:1234');
  await expect(lockDataFolder(folder)).rejects.toThrow(DataFolderBusyError);
  expect((await lockOwner(folder))?.url).toBe('http://127.0.0.1:1234');
  await lock.release();
  const again = await lockDataFolder(folder);
  await again.release();
});

test('a lock left by a dead process, or by a reused pid, is taken over', async () => {
  for (const stale of [
    { pid: 2 ** 22 - 1, started: '1', url: null },
    { pid: process.pid, started: 'another start', url: null },
    'not json',
  ]) {
    await writeFile(join(folder, 'up.lock'), typeof stale === 'string' ? stale : JSON.stringify(stale));
    expect(await lockOwner(folder)).toBeNull();
    const lock = await lockDataFolder(folder);
    await lock.release();
  }
});
