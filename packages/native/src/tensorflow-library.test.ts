import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { ensureLibrary, libraryFolder } from './tensorflow-library.js';
import { sha256OfFile } from './verified-folder.js';
import type { PinnedWheel } from './wheels.js';

/** A wheel of TensorFlow's layout, but small, made by Python, and handed out by the real pip from a folder. */
const writer = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z:
    z.writestr('tensorflow/libtensorflow_cc.so.2', b'machine code ' * 50000)
    z.writestr('tensorflow/libtensorflow_framework.so.2', b'framework ' * 5000)
    z.writestr('tensorflow/include/tensorflow/c/c_api.h', b'// api')
    z.writestr('tensorflow/include/Eigen/Core.h', b'// not needed')
    z.writestr('tensorflow/python/big.py', b'# not needed')
    z.writestr('rowsmith_small_library-1.0.dist-info/METADATA', b'Metadata-Version: 2.1\\nName: rowsmith-small-library\\nVersion: 1.0\\n')
    z.writestr('rowsmith_small_library-1.0.dist-info/WHEEL', b'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    z.writestr('rowsmith_small_library-1.0.dist-info/RECORD', b'')
`;
let links: string;
let cache: string;
let wheel: PinnedWheel;
const before = { index: process.env['PIP_NO_INDEX'], links: process.env['PIP_FIND_LINKS'] };

const restore = (name: string, value: string | undefined) => {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
};

beforeAll(async () => {
  links = await mkdtemp(join(tmpdir(), 'wheel-'));
  const path = join(links, 'rowsmith_small_library-1.0-py3-none-any.whl');
  execFileSync('python3', ['-c', writer, path]);
  wheel = { project: 'rowsmith-small-library', version: '1.0', sha256: await sha256OfFile(path), bytes: 10_000 };
  process.env['PIP_NO_INDEX'] = '1';
  process.env['PIP_FIND_LINKS'] = links;
});
afterAll(async () => {
  restore('PIP_NO_INDEX', before.index);
  restore('PIP_FIND_LINKS', before.links);
  await rm(links, { recursive: true });
});
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'cache-'));
});
afterEach(() => rm(cache, { recursive: true }));

const inCache = async () => {
  const folder = libraryFolder(cache, 'cpu');
  return existsSync(folder) ? (await readdir(folder, { recursive: true })).sort() : [];
};

test('a damaged library is found by its hash and fetched anew; a whole one is not fetched', async () => {
  const first = await ensureLibrary(cache, 'cpu', () => {}, wheel);
  expect(first.made).toBe(true);
  expect(await inCache()).toEqual([
    'include',
    'include/tensorflow',
    'include/tensorflow/c',
    'include/tensorflow/c/c_api.h',
    'libtensorflow_cc.so.2',
    'libtensorflow_framework.so.2',
    'manifest.json',
  ]);
  expect((await ensureLibrary(cache, 'cpu', () => {}, wheel)).made).toBe(false);

  const library = join(first.folder, 'libtensorflow_cc.so.2');
  const good = await readFile(library);
  const damaged = Buffer.from(good);
  damaged[100] = (damaged[100] ?? 0) ^ 1;
  await writeFile(library, damaged);
  expect((await ensureLibrary(cache, 'cpu', () => {}, wheel)).made).toBe(true);
  expect((await readFile(library)).equals(good)).toBe(true);
}, 30_000);

test('a wheel with another hash is refused and leaves nothing', async () => {
  const refused = ensureLibrary(cache, 'cpu', () => {}, { ...wheel, sha256: '0'.repeat(64) });
  await expect(refused).rejects.toMatchObject({ code: 'hash_mismatch' });
  expect(await readdir(join(cache, 'native'))).toEqual([]);
}, 30_000);

test('a download that fails names the cause and the repair', async () => {
  const failed = ensureLibrary(cache, 'cpu', () => {}, { ...wheel, version: '9.9' });
  await expect(failed).rejects.toMatchObject({ code: 'download_failed', repair: expect.stringContaining('connect to the internet') });
  expect(await readdir(join(cache, 'native'))).toEqual([]);
}, 30_000);

test('without python3 on the path, pip is named as missing', async () => {
  const path = process.env['PATH'];
  process.env['PATH'] = links;
  try {
    await expect(ensureLibrary(cache, 'cpu', () => {}, wheel)).rejects.toMatchObject({ code: 'pip_missing' });
  } finally {
    restore('PATH', path);
  }
});

test('a cut library is noticed without hashing', async () => {
  const { folder } = await ensureLibrary(cache, 'cpu', () => {}, wheel);
  appendFileSync(join(folder, 'libtensorflow_framework.so.2'), 'x');
  expect((await ensureLibrary(cache, 'cpu', () => {}, wheel)).made).toBe(true);
}, 30_000);
