import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addonName, ensureAddon } from './addon.js';
import { cacheFolder } from './cache-folder.js';
import { findInstalledPackages } from './installed-packages.js';
import { missingPart, putPartsIntoPackage } from './package-parts.js';
import { libraryFolder } from './tensorflow-library.js';

/** These use the real TensorFlow and the real compiler; set-up must have run. */
const library = libraryFolder(cacheFolder(), 'cpu');
let cache: string;
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'native-'));
});
afterEach(() => rm(cache, { recursive: true }));

test('the addon is built once; a damaged one is built again', async () => {
  const packages = findInstalledPackages();
  const first = await ensureAddon(cache, packages, library, () => {});
  expect(first.made).toBe(true);
  expect((await readFile(first.path)).subarray(0, 4).toString('latin1')).toBe('\x7fELF');
  expect((await ensureAddon(cache, packages, library, () => {})).made).toBe(false);

  await writeFile(first.path, 'not an addon');
  const steps: string[] = [];
  expect((await ensureAddon(cache, packages, library, (p) => steps.push(p.step))).made).toBe(true);
  expect(steps).toEqual(['compile']);
  expect((await readFile(first.path)).subarray(0, 4).toString('latin1')).toBe('\x7fELF');
}, 120_000);

test('sources that do not compile name the compiler output', async () => {
  const tfjs = join(cache, 'tfjs');
  await mkdir(join(tfjs, 'binding'), { recursive: true });
  await writeFile(join(tfjs, 'binding', 'tfjs_backend.cc'), 'int f() { return nothing; }');
  await writeFile(join(tfjs, 'binding', 'tfjs_binding.cc'), '');
  const failing = ensureAddon(cache, { ...findInstalledPackages(), tfjs }, library, () => {});
  await expect(failing).rejects.toMatchObject({ code: 'compile_failed', message: expect.stringContaining('nothing') });
}, 60_000);

test('parts are put in once, and a dangling link or a changed addon is repaired', async () => {
  const tfjs = join(cache, 'package');
  const addon = join(cache, addonName);
  await copyFile(join(findInstalledPackages().tfjs, 'lib', 'napi-v8', addonName), addon);
  expect(missingPart(tfjs)).toBe(join(tfjs, 'lib', 'napi-v8', addonName));
  expect(await putPartsIntoPackage(tfjs, library, addon)).toBe(true);
  expect(missingPart(tfjs)).toBeNull();
  expect(await putPartsIntoPackage(tfjs, library, addon)).toBe(false);

  const link = join(tfjs, 'deps', 'lib', 'libtensorflow_cc.so.2');
  await rm(link);
  await symlink(join(cache, 'a removed cache'), link);
  expect(missingPart(tfjs)).toBe(link);
  await writeFile(join(tfjs, 'lib', 'napi-v8', addonName), 'changed');
  expect(await putPartsIntoPackage(tfjs, library, addon)).toBe(true);
  expect(missingPart(tfjs)).toBeNull();
  expect(await putPartsIntoPackage(tfjs, library, addon)).toBe(false);
});

test('TensorFlow loads without a word, computes, and obeys the thread count', () => {
  const program = `
    import { loadTensorFlow } from ${JSON.stringify(join(import.meta.dirname, '..', 'dist', 'index.js'))};
    const tf = await loadTensorFlow();
    const product = tf.matMul(tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([5, 6, 7, 8], [2, 2]));
    console.log(JSON.stringify([tf.getBackend(), [...product.dataSync()], tf.topk(tf.tensor1d([1, 3, 2]), 1).indices.arraySync(), process.env.TF_NUM_INTRAOP_THREADS]));`;
  const env = { ...process.env, ROWSMITH_THREADS: '1' };
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], { env, encoding: 'utf8' });
  // [1 2; 3 4] x [5 6; 7 8] = [19 22; 43 50]
  expect(JSON.parse(output)).toEqual(['tensorflow', [19, 22, 43, 50], [1], '1']);
}, 30_000);
