import { type EncodedExample, type ModelConfig, sizesOf } from '@rowsmith/contracts';

const mebibyte = 2 ** 20;
/** About what the process itself takes, with TensorFlow, before it holds anything of a model. */
const least = 512 * mebibyte;

/**
 * Bytes that sums of whole gradients may take. asked: MiB; 0: as much as a training step keeps of its activations, since scoring then peaks at about
 * twice what training needs at most, and never less than 512 MiB.
 */
export function scoringMemory(config: ModelConfig, batches: readonly (readonly EncodedExample[])[], asked: number): number {
  if (asked > 0) return asked * mebibyte;
  const tokens = Math.max(...batches.map((batch) => batch.reduce((sum, { ids }) => sum + ids.length, 0)));
  const { hidden_size: C, intermediate_size: F, n_heads: H, n_kv_heads: K, head_dim: D } = sizesOf(config);
  // x, x after attention, its output; q, k, v; gate and up; of every layer.
  return Math.max(least, config.n_layers * tokens * (2 * C + (2 * H + 2 * K) * D + 2 * F) * 4);
}
