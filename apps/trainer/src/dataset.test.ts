/** Several files with weights, a held-out part, bad lines that are allowed: what the trainer makes of them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JobSpec } from '@rowsmith/contracts';
import { addImported, importGguf } from '@rowsmith/hf';
import { FsObjectStore } from '@rowsmith/storage';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openBaseModel } from './base-model.js';
import { loadDataset, loadText } from './dataset.js';

const gguf = fileURLToPath(new URL('../../../packages/hf/fixtures/tiny-llama.gguf', import.meta.url));
let folder = '';
let load: (change: Partial<JobSpec>) => ReturnType<typeof loadDataset>;
let dataOf: (lines: readonly string[]) => Promise<JobSpec['training_data']>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-dataset-'));
  const { index } = await addImported(await importGguf(gguf), { store: folder, id: 'tiny', now: () => 0 });
  const packed = await openBaseModel(join(folder, 'tiny'), index.base_sha256);
  const text = await loadText(packed);
  const store = new FsObjectStore(join(folder, 'objects'));
  let files = 0;
  dataOf = async (lines) => {
    const key = `files/${files++}`;
    return { key, ...(await store.put(key, Buffer.from(lines.join('\n')))) };
  };
  const data = await dataOf(rows('one', 10));
  load = (change) => {
    const spec = {
      training_data: data,
      validation_data: null,
      seed: 3,
      row_sparse: { train_on: 'assistant', max_seq_length: 64 },
      ...change,
    };
    return loadDataset(store, spec as JobSpec, packed, text);
  };
});
afterAll(() => rm(folder, { recursive: true }));

const rows = (name: string, n: number) => Array.from({ length: n }, (_, i) => JSON.stringify({ text: `${name} ${i}` }));
const texts = (dataset: { readonly examples: readonly { readonly ids: Int32Array }[] } | null) =>
  (dataset?.examples ?? []).map(({ ids }) => ids.join());

it('mixes files by weight and holds a part of each out, the same for the same seed', async () => {
  const mixture = [
    { file: 'a', data: await dataOf(rows('one', 10)), weight: 1 },
    { file: 'b', data: await dataOf(rows('two', 20)), weight: 0.5 },
    { file: 'c', data: await dataOf(rows('three', 5)), weight: 2 },
  ];
  const { train, valid, sha256 } = await load({ mixture, validation_split: 0.2 });
  // 10 - 2, half of 20 - 4, twice 5 - 1; held out 2 + 4 + 1.
  expect([train.examples.length, valid?.examples.length]).toEqual([8 + 8 + 8, 7]);
  expect(texts(train).filter((ids) => texts(valid).includes(ids))).toEqual([]);
  const again = await load({ mixture, validation_split: 0.2 });
  expect([texts(again.train), texts(again.valid), again.sha256]).toEqual([texts(train), texts(valid), sha256]);
  const otherSeed = await load({ mixture, validation_split: 0.2, seed: 4 });
  expect(texts(otherSeed.valid)).not.toEqual(texts(valid));
  expect(otherSeed.sha256).not.toBe(sha256);
});

it('without these options nothing has changed', async () => {
  const plain = await load({});
  expect([plain.train.examples.length, plain.valid]).toEqual([10, null]);
});

it('leaves out as many bad lines as are allowed, and no more', async () => {
  const training_data = await dataOf([...rows('good', 9), '{"text": 1}']);
  await expect(load({ training_data })).rejects.toMatchObject({
    code: 'invalid_training_file',
    message: expect.stringContaining('line 10'),
  });
  await expect(load({ training_data, invalid_sample_skip_percentage: 9 })).rejects.toMatchObject({
    code: 'invalid_training_file',
    message: expect.stringContaining('1 of 10 rows cannot be encoded'),
  });
  expect((await load({ training_data, invalid_sample_skip_percentage: 10 })).train.examples).toHaveLength(9);
});
