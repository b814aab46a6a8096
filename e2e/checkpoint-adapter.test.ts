/** Trained jobs: at the checkpoint that became the adapter, what the API makes of it is what the trainer made and verified, byte for byte. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readRows } from '@rowsmith/adapter';
import type { JobObject, ModelLimits } from '@rowsmith/contracts';
import { addImported, importFolder } from '@rowsmith/hf';
import { addTinyModel } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newDataDir, projectRoot, type Running, removeDataDir, rowsmith, up } from './support/installation.js';

let dataDir = '';
let service: Running;
const bases = new Map<string, string>();
beforeAll(async () => {
  dataDir = await newDataDir();
  const store = join(dataDir, 'models');
  bases.set('tiny', (await addTinyModel(store)).base_sha256);
  // Of q|k|v and gate|up in one module each.
  const fixture = await importFolder(join(projectRoot, 'packages/engine/fixtures/families/phi3'));
  bases.set('phi3', (await addImported(fixture, { store, id: 'phi3', now: () => 0 })).index.base_sha256);
  service = await up(dataDir, { ROWSMITH_MODELS: store });
  const row = (i: number) => JSON.stringify({ prompt: `${i}?`, completion: `${i}!` });
  await writeFile(join(dataDir, 'rows.jsonl'), Array.from({ length: 8 }, (_, i) => `${row(i)}\n`).join(''));
});
afterAll(async () => {
  await service.stop();
  await removeDataDir(dataDir);
});

const run = (...args: string[]) => rowsmith([...args, '--data', dataDir]);
async function json<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await run(...args, '--json');
  expect(code, `${args.join(' ')}\n${stderr}`).toBe(0);
  return JSON.parse(stdout) as T;
}
/** All files but `rowsmith.json`: that of a checkpoint says what it is of. */
async function pulled(folder: string, ...args: string[]): Promise<Record<string, Buffer>> {
  await json('adapters', 'pull', ...args, '--out', join(dataDir, folder));
  const names = (await readdir(join(dataDir, folder))).filter((name) => name !== 'rowsmith.json').sort();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(dataDir, folder, name))] as const)));
}

test.each([
  ['tiny', 'out', 'none'],
  ['tiny', 'both', 'nf4'],
  ['phi3', 'out', 'none'],
  ['phi3', 'both', 'none'],
])('%s, channels %s, quantization %s', async (model, channels, quantization) => {
  const settings = { rows: 3, channels, quantization, max_steps: 3, checkpoint_every_seconds: 0, keep_checkpoints: 5 };
  const flags = ['--model', model, '--training-file', join(dataDir, 'rows.jsonl'), '--row-sparse', JSON.stringify(settings)];
  const created = await json<JobObject>('jobs', 'create', ...flags, '--no-start');
  await json('jobs', 'start', created.id);
  expect(await json<JobObject>('jobs', 'watch', created.id)).toMatchObject({ status: 'succeeded' });
  const { data } = await json<{ data: { id: string; step_number: number }[] }>('jobs', 'checkpoints', created.id);
  expect(data.map(({ step_number }) => step_number)).toEqual([3, 2, 1]);
  const [last = '', , first = ''] = data.map(({ id }) => id);

  const name = `${model}-${channels}`;
  for (const format of ['peft', 'rows']) {
    const published = await pulled(`${name}-${format}`, created.id, '--format', format);
    const atLast = await pulled(`${name}-${format}-last`, created.id, '--format', format, '--checkpoint', last);
    expect(Object.keys(atLast)).toEqual(Object.keys(published));
    for (const [file, bytes] of Object.entries(published)) expect(Buffer.compare(atLast[file] ?? Buffer.alloc(0), bytes), file).toBe(0);
    // An earlier one has the same rows with other values.
    const atFirst = await pulled(`${name}-${format}-first`, created.id, '--format', format, '--checkpoint', first);
    const weights = format === 'peft' ? 'adapter_model.safetensors' : 'rows.safetensors';
    expect(atFirst[weights]?.length).toBe(published[weights]?.length);
    expect(Buffer.compare(atFirst[weights] ?? Buffer.alloc(0), published[weights] ?? Buffer.alloc(0))).not.toBe(0);
  }
  const delta = (folder: string) => readRows(join(dataDir, folder, 'rows.safetensors'), { baseSha256: bases.get(model) ?? '' });
  const [then, now] = [await delta(`${name}-rows-first`), await delta(`${name}-rows`)];
  expect([...then.keys()]).toEqual([...now.keys()]);
  for (const [module, { indices, columns }] of now)
    expect([then.get(module)?.indices, then.get(module)?.columns]).toEqual([indices, columns]);
});

test('merged and gguf exit with what to run; a checkpoint of another job is not found; limits', async () => {
  const { data } = await json<{ data: JobObject[] }>('jobs', 'list');
  const [job, other] = data.map(({ id }) => id) as [string, string];
  const merged = await run('adapters', 'pull', job, '--format', 'merged', '--out', join(dataDir, 'none'));
  expect([merged.code === 0, merged.stderr]).toEqual([false, expect.stringContaining('merge_and_unload')]);
  const checkpoints = await json<{ data: { id: string }[] }>('jobs', 'checkpoints', other);
  expect((await run('adapters', 'pull', job, '--checkpoint', checkpoints.data[0]?.id ?? '', '--out', join(dataDir, 'none'))).code).toBe(3);
  expect(await json<ModelLimits>('models', 'limits', 'phi3')).toMatchObject({ object: 'model.limits', model: 'phi3', kind: 'decoder' });
  expect((await run('models', 'limits', 'tiny')).stdout).toMatch(/^max_seq_length +256 +8 to 256$/m);
  expect((await run('models', 'limits', 'nothing')).code).toBe(3);
});
