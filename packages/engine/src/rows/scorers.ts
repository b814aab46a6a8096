import type { ScorerName } from '@rowsmith/contracts';
import type { CausalLM, LinearInfo } from '../models/causal-lm.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';
import { philox } from '../runtime/philox.js';

export interface ScoringContext {
  readonly ops: StockOps;
  readonly model: CausalLM;
  readonly seed: number;
}

/** One score a row of the linear, [out]; the larger, the more worth training. Not normalised. */
export type Scorer = (context: ScoringContext, linear: LinearInfo) => ArrayLike<number>;

/**
 * l1, l2: I_i = sum_j |W_ij|^p, without the root (Li & Bhaskara, arXiv 2502.11439: the "norm" importance). random: uniform in [0, 1), a
 * function of (seed, name of the linear), so that the rows of one linear do not depend on which others are chosen.
 */
export const scorers: Readonly<Record<ScorerName, Scorer>> = {
  l1: (context, linear) => sumOfPowers(context, linear, 'abs'),
  l2: (context, linear) => sumOfPowers(context, linear, 'square'),
  random: ({ seed }, { name, outFeatures }) => philox(seed, `rows ${name}`, 0).fill(new Float32Array(outFeatures), 0, 1),
};

/** Waits for the device. At most one matrix and its elementwise power are held at a time. */
function sumOfPowers({ ops, model }: ScoringContext, linear: LinearInfo, power: 'abs' | 'square'): Float32Array {
  const { runtime } = ops;
  return runtime.scope(() => {
    const w: Handle = model.readMatrix(linear); // [out, in]
    return runtime.readF32(ops.sumColumns(ops[power](w))); // [out]
  });
}
