import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FsObjectStore } from './fs-object-store.js';
import { InvalidKeyError, namesOfKey } from './object-key.js';

const numRuns = Number(process.env['ROWSMITH_FUZZ_RUNS'] ?? 300);
const tricks = [
  '..',
  '.',
  '',
  '/',
  '\\',
  '..\\',
  '%2e%2e',
  '%00',
  '\0',
  'a\nb',
  '~',
  'C:',
  '\u2025',
  '\uff0e\uff0e',
  'a'.repeat(256),
  'files',
  'x',
];

test('a key is names and slashes, or it is refused; nothing appears outside the folder', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'rowsmith-keys-'));
  const store = new FsObjectStore(join(parent, 'objects'));
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.array(fc.constantFrom(...tricks), { maxLength: 6 }).map((names) => names.join('/')),
          fc.string(),
        ),
        async (key) => {
          const names = key.split('/');
          const good = key.length <= 1024 && names.every((name) => /^[\w.-]{1,255}$/.test(name) && name !== '.' && name !== '..');
          if (good) {
            expect(namesOfKey(key)).toEqual(names);
            return;
          }
          expect(() => namesOfKey(key)).toThrow(InvalidKeyError);
          for (const use of [
            store.put(key, Buffer.from('x')),
            store.putIfAbsent(key, Buffer.from('x')),
            store.get(key),
            store.head(key),
            store.delete(key),
          ])
            await expect(use).rejects.toThrow(InvalidKeyError);
        },
      ),
      { numRuns, seed: 5 },
    );
    expect((await readdir(parent, { recursive: true })).filter((name) => name !== 'objects')).toEqual([]);
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
});
