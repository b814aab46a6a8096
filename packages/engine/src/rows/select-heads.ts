import type { ModelSizes } from '@rowsmith/contracts';
import type { LinearInfo } from '../models/causal-lm.js';
import { selectLargest } from './select.js';

/** Attention heads whose rows a projection holds, block after block; undefined: its rows belong to no head. */
export function headsOf(
  { n_heads, n_kv_heads }: Pick<ModelSizes, 'n_heads' | 'n_kv_heads'>,
  target: LinearInfo['target'],
): number | undefined {
  if (target === 'q_proj') return n_heads;
  return target === 'k_proj' || target === 'v_proj' ? n_kv_heads : undefined;
}

/**
 * All rows of the floor(ratio x heads) best heads; a head's score is the mean of its rows', ties go to the lower head. Throws RangeError when the rows do
 * not divide. Indices, ascending. Pure.
 */
export function selectHeads(scores: ArrayLike<number>, heads: number, ratio: number): Int32Array {
  const n = scores.length;
  if (heads < 1 || n % heads !== 0) throw new RangeError(`${n} channels cannot be cut into ${heads} heads`);
  const size = n / heads;
  const values = Array.from(scores);
  const means = Array.from(
    { length: heads },
    (_, head) => values.slice(head * size, (head + 1) * size).reduce((sum, v) => sum + v, 0) / size,
  );
  const chosen = selectLargest(means, Math.floor(ratio * heads + 1e-9));
  return Int32Array.from(Array.from(chosen).flatMap((head) => Array.from({ length: size }, (_, i) => head * size + i)));
}
