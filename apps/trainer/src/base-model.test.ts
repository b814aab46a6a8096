import { mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sizesOf } from '@rowsmith/contracts';
import { addImported, importGguf } from '@rowsmith/hf';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openBaseModel, readPackedRows } from './base-model.js';

const gguf = fileURLToPath(new URL('../../../packages/hf/fixtures/tiny-llama.gguf', import.meta.url));
let store = '';
let dir = '';
let base = '';
beforeEach(async () => {
  store = await mkdtemp(join(tmpdir(), 'rowsmith-base-'));
  const added = await addImported(await importGguf(gguf), { store, id: 'tiny', now: () => 0 });
  dir = join(store, 'tiny');
  base = added.index.base_sha256;
});
afterEach(() => rm(store, { recursive: true }));

/** One bit of one weight; size and modification time stay as they were. */
async function damageWeights(): Promise<void> {
  const path = join(dir, 'weights.bin');
  const { atime, mtime } = await stat(path);
  const bytes = await readFile(path);
  bytes[0] = (bytes[0] as number) ^ 1;
  await writeFile(path, bytes);
  await utimes(path, atime, mtime);
}

it('opens the pinned model, and remembers that its bytes were right', async () => {
  expect((await openBaseModel(dir, base)).index.base_sha256).toBe(base);
  expect(JSON.parse(await readFile(join(dir, '.verified.json'), 'utf8')).format).toBe(1);
  expect((await openBaseModel(dir, base)).index.base_sha256).toBe(base);
});

it('hashes the weights the first time', async () => {
  await damageWeights();
  await expect(openBaseModel(dir, base)).rejects.toMatchObject({ code: 'corrupt_model' });
});

it('does not trust its memory of a file that was written since, whatever its date says', async () => {
  await openBaseModel(dir, base);
  await damageWeights();
  await expect(openBaseModel(dir, base)).rejects.toMatchObject({ code: 'corrupt_model' });
});

it('refuses a model with another hash', async () => {
  await expect(openBaseModel(dir, 'a'.repeat(64))).rejects.toMatchObject({
    errorClass: 'precheck',
    code: 'base_model_changed',
    param: 'model',
  });
});

it('reads single rows of a packed matrix', async () => {
  const packed = await openBaseModel(dir, base);
  const { hidden_size: width, n_heads, head_dim } = sizesOf(packed.index.config);
  const k = { name: 'model.layers.0.self_attn.k_proj', layer: 0, target: 'k_proj', tensor: 'layers.0.qkv' } as const;
  const rowOffset = n_heads * head_dim;
  const whole = await packed.readTensor('layers.0.qkv');
  const rows = await readPackedRows(packed, { ...k, rowOffset, outFeatures: 4, inFeatures: width }, Int32Array.of(0, 3));
  expect([...rows]).toEqual([
    ...whole.subarray(rowOffset * width, (rowOffset + 1) * width),
    ...whole.subarray((rowOffset + 3) * width, (rowOffset + 4) * width),
  ]);
});
