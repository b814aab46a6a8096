import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensureStartAddon } from './start-addon.js';

const script = fileURLToPath(new URL('../scripts/profiled-products.mjs', import.meta.url));
const index = new URL('../dist/index.js', import.meta.url).href;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-start-'));
});
afterEach(() => rm(folder, { recursive: true }));

const node = (args: readonly string[]) => spawnSync(process.execPath, args, { encoding: 'utf8' });

test('it is built once', async () => {
  const steps: string[] = [];
  const build = () => ensureStartAddon(folder, ({ step }) => steps.push(step));
  expect(await build()).toMatchObject({ made: true });
  expect(await build()).toMatchObject({ made: false });
  expect(steps).toEqual(['compile']);
}, 60_000);

test("the profiler's signals do not reach the heap that oneDNN's products use the stack pointer for", () => {
  const profiler = ['--cpu-prof', '--cpu-prof-interval', '100', '--cpu-prof-dir', folder];
  const { status, signal, stdout } = node([...profiler, script, 'guarded', '3']);
  expect({ status, signal }).toEqual({ status: 0, signal: null });
  expect(stdout).toMatch(/^\d+ products/);
}, 60_000);

test('a process that ends while the library is being loaded ends as it says', () => {
  const program = `
    import { preloadTensorFlow, readAhead } from ${JSON.stringify(index)};
    preloadTensorFlow();
    readAhead(${JSON.stringify(join(folder, 'no such file'))});
    process.exit(3);`;
  const { status, signal } = node(['--input-type=module', '-e', program]);
  expect({ status, signal }).toEqual({ status: 3, signal: null });
}, 60_000);

test('what was begun in the thread is what loads', () => {
  const program = `
    import { loadBinding, preloadTensorFlow } from ${JSON.stringify(index)};
    preloadTensorFlow();
    process.stdout.write(loadBinding().TF_Version);`;
  expect(node(['--input-type=module', '-e', program])).toMatchObject({ status: 0, stdout: '2.18.1' });
}, 60_000);
