import type { StockOps } from '../../ops/stock-ops.js';
import type { Handle } from '../../runtime/handle.js';
import type { ChannelScores } from '../score-matrix.js';
import { ChannelTotals, channelSums } from './channel-sums.js';
import type { DataScorer } from './scoring.js';
import { visitMeanGradients } from './visit-mean-gradients.js';

/** Of one sample: entries W_e^2 g_e^2; w, gradient: [out, in]. */
export function fisherScores(ops: StockOps, w: Handle, gradient: Handle): ChannelScores {
  return ops.runtime.scope(() => channelSums(ops, ops.square(ops.multiply(w, gradient))));
}

/**
 * Diagonal Fisher: I = sum_e W_e^2 h_e, h_e = the mean over samples of the squared gradient of that sample's mean token loss (optimal brain damage
 * without its factor 1/2). A sample is one example, so examples run one by one; only one score a channel is kept between them. The published code keeps
 * the last sample's gradient alone; this does not.
 */
export const fisher: DataScorer = async (scoring) => {
  const { ops, model, linears, batches } = scoring;
  const samples = batches.flat();
  const totals = new Map(linears.map((linear) => [linear.name, new ChannelTotals(linear)]));
  await visitMeanGradients(
    scoring,
    samples.map((sample) => [sample]),
    (linear, gradient) => {
      totals.get(linear.name)?.add(ops.runtime.scope(() => fisherScores(ops, model.readMatrix(linear), gradient)));
    },
  );
  return new Map(Array.from(totals, ([name, total]) => [name, total.map((sum) => sum / samples.length)]));
};
