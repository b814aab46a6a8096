import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findModel, listModels } from './model-store.js';

let store = '';
beforeEach(async () => {
  store = await mkdtemp(join(tmpdir(), 'rowsmith-store-'));
});
afterEach(() => rm(store, { recursive: true }));

async function put(id: string, parameters: number): Promise<void> {
  const hash = '0'.repeat(64);
  const index = {
    ...{ format: 'rowsmith-packed/1', id, source: { kind: 'folder', name: 'tiny', revision: null, sha256: hash }, base_sha256: hash },
    ...{ alignment: 4096, weights_bytes: 0, weights_sha256: hash, tokenizer_sha256: hash, parameters, created_at: 1, tensors: {} },
    config: {
      ...{ family: 'llama', hidden_size: 16, n_layers: 2, n_heads: 2, n_kv_heads: 1, head_dim: 8, intermediate_size: 32, vocab_size: 64 },
      ...{ max_position_embeddings: 512, norm_eps: 1e-5, rope_theta: 1e4, tie_embeddings: true, bos_token_id: 1, eos_token_ids: [2] },
      pad_token_id: null,
    },
  };
  await mkdir(join(store, id), { recursive: true });
  // As models are published: a new file under the old name.
  await writeFile(join(store, 'fresh'), JSON.stringify(index));
  await rename(join(store, 'fresh'), join(store, id, 'index.json'));
}

test('a model is found by its id, and an index that has not changed is parsed once', async () => {
  await put('tiny', 1_000);
  const first = await findModel(store, 'tiny');
  expect(first?.parameters).toBe(1_000);
  expect(await findModel(store, 'tiny')).toBe(first);
  expect((await listModels(store))[0]).toBe(first);
});

test('a model that was replaced, damaged or removed is seen as it is now', async () => {
  await put('tiny', 1_000);
  await findModel(store, 'tiny');
  // As long as before.
  await put('tiny', 2_000);
  expect((await findModel(store, 'tiny'))?.parameters).toBe(2_000);
  const text = await readFile(join(store, 'tiny/index.json'), 'utf8');
  await writeFile(join(store, 'tiny/index.json'), text.slice(0, 40));
  expect(await findModel(store, 'tiny')).toBeNull();
  await rm(join(store, 'tiny'), { recursive: true });
  expect(await findModel(store, 'tiny')).toBeNull();
  for (const id of ['..', '../tiny', '', 'a/b']) expect(await findModel(store, id)).toBeNull();
});
