import type { DecoderConfig } from '@rowsmith/contracts';
import { philox } from '../runtime/philox.js';
import { packedShapes } from './layout.js';
import type { ModelInMemory } from './weights.js';

/** Odd sizes, two layers, three query heads for each key/value head: what a test needs to see most mistakes, in milliseconds. */
export const tinyConfig: DecoderConfig = {
  family: 'llama',
  hidden_size: 20,
  n_layers: 2,
  n_heads: 6,
  n_kv_heads: 2,
  head_dim: 6,
  intermediate_size: 28,
  vocab_size: 37,
  max_position_embeddings: 256,
  norm_eps: 1e-5,
  rope_theta: 10_000,
  tie_embeddings: true,
  bos_token_id: 1,
  eos_token_ids: [2],
  pad_token_id: 2,
};

/** A random model, a function of seed and config. Matrices uniform with standard deviation 1/sqrt(in), norm weights in [0.5, 1.5). */
export function tinyModel(seed: number, change: Partial<DecoderConfig> = {}): ModelInMemory {
  const config = { ...tinyConfig, ...change };
  const tensors = new Map<string, Float32Array>();
  for (const [name, shape] of packedShapes(config)) {
    const [rows = 1, width] = shape;
    const values = new Float32Array(rows * (width ?? 1));
    const bound = width === undefined ? undefined : Math.sqrt(3 / width);
    tensors.set(name, philox(seed, `tiny ${name}`, 0).fill(values, bound === undefined ? 0.5 : -bound, bound ?? 1.5));
  }
  return { config, tensors };
}
