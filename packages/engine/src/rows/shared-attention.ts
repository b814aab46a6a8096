import { EngineError } from '../errors.js';
import type { LinearInfo } from '../models/causal-lm.js';

const attention: readonly LinearInfo['target'][] = ['q_proj', 'k_proj', 'v_proj'];

/**
 * q, k and v of a layer choose the same rows: each of them gets the mean (I_q + I_k + I_v) / 3 of the three normalised scores (Li & Bhaskara,
 * arXiv 2502.11439: self-attention as one unit). Throws EngineError (precheck) `invalid_options` where one of the three is missing, or has other rows. Pure.
 */
export function sharedScores(linears: readonly LinearInfo[], scores: readonly Float64Array[]): readonly Float64Array[] {
  const refuse = (message: string) => new EngineError('precheck', 'invalid_options', message, 'row_sparse.attention_rows');
  return linears.map(({ layer, target, name }, i) => {
    if (!attention.includes(target)) return scores[i] as Float64Array;
    const three = linears.flatMap((other, j) =>
      other.layer === layer && attention.includes(other.target) ? [scores[j] as Float64Array] : [],
    );
    if (three.length !== 3) throw refuse(`${name}: rows are shared by q_proj, k_proj and v_proj; all three must be targets`);
    const [q, k, v] = three as [Float64Array, Float64Array, Float64Array];
    if (q.length !== k.length || q.length !== v.length)
      throw refuse(`${name}: q has ${q.length} rows, k ${k.length} and v ${v.length}; they cannot share a choice`);
    return q.map((score, row) => (score + (k[row] as number) + (v[row] as number)) / 3);
  });
}
