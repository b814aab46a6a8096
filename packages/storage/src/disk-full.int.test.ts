/** Every way in which an object gets onto a disk, on a disk that is full: with no free page, one, two ... until it fits. */
import { createHash } from 'node:crypto';
import { link, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fillAtEveryPage, folderOn, mountSmallDisk } from '@rowsmith/testkit';
import { afterAll, describe, expect, test } from 'vitest';
import { FsObjectStore } from './fs-object-store.js';

const disk = mountSmallDisk(4 << 20);
afterAll(() => disk?.unmount());

/** Five pages and a bit. */
const body = Buffer.from(Array.from({ length: 21_000 }, (_, i) => (i * 31) % 251));
const sha256 = createHash('sha256').update(body).digest('hex');
/** Pieces that end within pages. */
async function* pieces() {
  for (let at = 0; at < body.length; at += 3_001) yield body.subarray(at, at + 3_001);
}

describe.runIf(disk !== null)('on a full disk', () => {
  if (disk === null) return;
  let used = 0;
  const fresh = () => new FsObjectStore(folderOn(disk, `store-${used++}`));
  const listed = async (store: FsObjectStore) => {
    const keys: string[] = [];
    for await (const { key } of store.list('')) keys.push(key);
    return keys;
  };
  const sites = {
    put: (store) => store.put('a/b', body),
    'put of a stream': (store) => store.put('a/b', pieces()),
    putIfAbsent: (store) => store.putIfAbsent('a/b', body),
  } satisfies Record<string, (store: FsObjectStore) => Promise<unknown>>;

  for (const [name, write] of Object.entries(sites))
    test(`${name}: nothing of it is there, not under another name either; with space it goes through`, async () => {
      const store = fresh();
      const files = async () =>
        (await disk.names()).filter((path) => /store-\d+\/.*\W/.test(path) && path.startsWith(`store-${used - 1}/a/`));
      const failures = await fillAtEveryPage(disk, {
        write: () => write(store),
        left: async () => [await listed(store), await files()],
      });
      // A body of six pages fails with none to five.
      expect(failures.length).toBeGreaterThanOrEqual(6);
      for (const { error, left } of failures) expect([error, left]).toEqual([expect.objectContaining({ code: 'ENOSPC' }), [[], []]]);
      expect(
        createHash('sha256')
          .update((await store.getBytes('a/b')) ?? '')
          .digest('hex'),
      ).toBe(sha256);
      expect(await files()).toEqual([`store-${used - 1}/a/b`]);
    });

  test('an object that was to be replaced stays as it was', async () => {
    const store = fresh();
    await store.put('a', Buffer.from('before'));
    const failures = await fillAtEveryPage(disk, {
      write: () => store.put('a', body),
      left: async () => String(await store.getBytes('a')),
    });
    expect(failures.map(({ left }) => left)).toEqual(Array(6).fill('before'));
    expect(await store.getBytes('a')).toEqual(body);
  });
});

describe.runIf(disk !== null)('without a single name left', () => {
  test('the clock is read, what was left over is swept and objects are deleted: that is how space comes back', async () => {
    const few = mountSmallDisk(1 << 20, 12);
    if (few === null) throw new Error('a second disk cannot be mounted');
    try {
      const store = new FsObjectStore(few.folder);
      await store.prepare();
      await store.put('whole', Buffer.from('1'));
      await writeFile(join(few.folder, '.tmp-1-old'), 'half');
      let names = 0;
      const more = () => link(join(few.folder, 'whole'), join(few.folder, `name-${names++}`));
      const full: unknown = await (async () => {
        for (;;) await more();
      })().catch((error: unknown) => error);
      expect(full).toMatchObject({ code: 'ENOSPC' });
      expect(Math.abs((await store.now()).getTime() - Date.now())).toBeLessThan(60_000);
      expect(await store.sweepUnfinished(-60_000)).toBe(1);
      await store.put('again', Buffer.from('2'));
      await store.delete('again');
    } finally {
      few.unmount();
    }
  });
});
