import type { StockOps } from '../../ops/stock-ops.js';
import type { Handle } from '../../runtime/handle.js';
import { wholeOf } from '../../train/collate.js';
import type { ChannelScores } from '../score-matrix.js';
import { channelSums } from './channel-sums.js';
import type { DataScorer } from './scoring.js';

/** Entries |W_ij| ||X_j||_2; w: [out, in], norms: [in]. */
export function wandaScores(ops: StockOps, w: Handle, norms: Handle): ChannelScores {
  return ops.runtime.scope(() => channelSums(ops, ops.multiply(ops.abs(w), norms)));
}

/**
 * I_i = sum_j |W_ij| ||X_j||_2 and I_j = ||X_j||_2 sum_i |W_ij|, ||X_j||_2 = sqrt(sum_t x_tj^2) over all tokens t of the calibration data (Sun et al.,
 * "A simple and effective pruning approach for large language models", arXiv 2306.11695, summed over a channel). Forward passes only;
 * padding is no token. The first token of a sequence, whose activations are extreme in many models, counts as any other.
 */
export const wanda: DataScorer = async ({ ops, model, linears, batches, turn }) => {
  const squares = new Map(linears.map(({ name, inFeatures }) => [name, new Float64Array(inFeatures)]));
  for (const [done, batch] of batches.entries()) {
    await turn(done, batches.length);
    model.visitInputs(wholeOf(batch), linears, (sharing, x) => {
      const sums = ops.runtime.scope(() => ops.runtime.readF32(ops.sumRows(ops.square(x)))); // [in]
      for (const { name } of sharing) {
        const total = squares.get(name) as Float64Array;
        for (let j = 0; j < total.length; j++) total[j] = (total[j] as number) + (sums[j] as number);
      }
    });
  }
  return new Map(
    linears.map((linear) => {
      const norms = Float32Array.from(squares.get(linear.name) as Float64Array, Math.sqrt);
      const scores = ops.runtime.scope(() =>
        wandaScores(ops, model.readMatrix(linear), ops.runtime.upload(norms, [linear.inFeatures], 'f32')),
      );
      return [linear.name, scores] as const;
    }),
  );
};
