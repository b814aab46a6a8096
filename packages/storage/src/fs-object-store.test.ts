import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { objectStoreContract } from './contract.js';
import { FsObjectStore } from './fs-object-store.js';

const folders: string[] = [];
const fresh = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rowsmith-objects-'));
  folders.push(folder);
  return folder;
};
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

objectStoreContract(async () => new FsObjectStore(await fresh()));

test('no temporary files stay behind', async () => {
  const folder = await fresh();
  const store = new FsObjectStore(folder);
  await Promise.all(Array.from({ length: 10 }, (_, i) => store.putIfAbsent('one', Buffer.from(String(i)))));
  await store.put('two', Buffer.from('2'));
  expect((await readdir(folder)).sort()).toEqual(['one', 'two']);
});

test('an object that is replaced while it is read is read as it was', async () => {
  const store = new FsObjectStore(await fresh());
  await store.put('big', Buffer.alloc(1 << 20, 'a'));
  const body = await store.get('big');
  await store.put('big', Buffer.alloc(1 << 20, 'b'));
  const seen = new Set<number>();
  for await (const part of body ?? []) for (const byte of part) seen.add(byte);
  expect([...seen]).toEqual(['a'.charCodeAt(0)]);
});

test('what a killed writer left is swept when it is old, and nothing else', async () => {
  const folder = await fresh();
  const store = new FsObjectStore(folder);
  await store.put('jobs/a/whole', Buffer.from('1'));
  await mkdir(join(folder, 'jobs/b'));
  const [old, young] = [join(folder, 'jobs/b/.tmp-1-old'), join(folder, 'jobs/a/.tmp-2-young')];
  for (const path of [old, young]) await writeFile(path, 'half');
  await utimes(old, new Date(0), new Date(0));
  expect(await store.sweepUnfinished(3_600_000)).toBe(1);
  expect([await readdir(join(folder, 'jobs/a')), await readdir(join(folder, 'jobs/b'))]).toEqual([['.tmp-2-young', 'whole'], []]);
});
