import type { StockOps } from '../../ops/stock-ops.js';
import type { Handle } from '../../runtime/handle.js';
import type { ChannelScores } from '../score-matrix.js';
import { scoresOfSums } from './matrix-sums.js';
import type { DataScorer } from './scoring.js';
import { taylorScores } from './taylor.js';

/** Of one sample: -g_e + W_e g_e^2 / 2, whose mean over samples times W_e is the change of loss when W_e becomes 0. w, gradient: [out, in]. */
export function taylor2Term(ops: StockOps, w: Handle, gradient: Handle): Handle {
  return ops.runtime.scope((keep) =>
    keep(ops.multiply(gradient, ops.subtract(ops.scale(ops.multiply(w, gradient), 0.5), ops.runtime.literal(1)))),
  );
}

/** I = sum_e |W_e u_e|, u: the mean of `taylor2Term` over the samples. sum: their sum. */
export function taylor2Scores(ops: StockOps, w: Handle, sum: Handle, samples: number): ChannelScores {
  return ops.runtime.scope(() => taylorScores(ops, w, ops.scale(sum, 1 / samples)));
}

/**
 * Second-order Taylor: I = sum_e |-W_e g_e + W_e^2 h_e / 2|, g = the mean of the samples' gradients, h = the mean of their squares (a diagonal Fisher in
 * place of the Hessian): the textbook's expansion of the loss at W_e = 0. The published code has another sign and no 1/2. A sample is one example.
 */
export const taylor2: DataScorer = (scoring) => {
  const samples = scoring.batches.flat();
  return scoresOfSums(
    scoring,
    samples.map((sample) => [sample]),
    {
      term: (gradient, w) => taylor2Term(scoring.ops, w(), gradient),
      scores: (w, sum) => taylor2Scores(scoring.ops, w, sum, samples.length),
    },
  );
};
