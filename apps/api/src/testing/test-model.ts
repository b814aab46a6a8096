/** A model store with one tiny base model. The API reads only its index. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackedModelIndex } from '@rowsmith/contracts';

export const testModelId = 'tiny-llama';

const index: PackedModelIndex = {
  format: 'rowsmith-packed/1',
  id: testModelId,
  source: { kind: 'folder', name: 'tiny', revision: null, sha256: '0'.repeat(64) },
  base_sha256: 'b'.repeat(64),
  alignment: 4096,
  weights_bytes: 0,
  weights_sha256: '0'.repeat(64),
  tokenizer_sha256: '0'.repeat(64),
  parameters: 1_000,
  created_at: 1_700_000_000,
  config: {
    family: 'llama',
    hidden_size: 16,
    n_layers: 2,
    n_heads: 2,
    n_kv_heads: 1,
    head_dim: 8,
    intermediate_size: 32,
    vocab_size: 64,
    max_position_embeddings: 512,
    norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_embeddings: true,
    bos_token_id: 1,
    eos_token_ids: [2],
    pad_token_id: null,
  },
  tensors: {},
};

export async function writeTestModel(store: string): Promise<void> {
  await mkdir(join(store, testModelId), { recursive: true });
  await writeFile(join(store, testModelId, 'index.json'), JSON.stringify(index));
}
