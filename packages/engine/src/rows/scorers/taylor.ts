import type { StockOps } from '../../ops/stock-ops.js';
import type { Handle } from '../../runtime/handle.js';
import type { ChannelScores } from '../score-matrix.js';
import { ChannelTotals, channelSums } from './channel-sums.js';
import { scoresOfSums } from './matrix-sums.js';
import type { DataScorer } from './scoring.js';
import { visitMeanGradients } from './visit-mean-gradients.js';

/** Entries |W_e g_e|; w, gradient: [out, in]. */
export function taylorScores(ops: StockOps, w: Handle, gradient: Handle): ChannelScores {
  return ops.runtime.scope(() => channelSums(ops, ops.abs(ops.multiply(w, gradient))));
}

/** Entries W_e g_e with their signs. */
export function signedTaylorScores(ops: StockOps, w: Handle, gradient: Handle): ChannelScores {
  return ops.runtime.scope(() => channelSums(ops, ops.multiply(w, gradient)));
}

/**
 * First-order Taylor: I = sum_e |W_e g_e| over the entries e of a channel, g = the sum over the calibration batches of the gradient of the batch's mean
 * token loss (Li & Bhaskara, arXiv 2502.11439). Gradients are added with their signs before the absolute value, so whole sums are held: as many
 * matrices at a time as the memory allows, in more passes over the data where they do not all fit.
 */
export const taylor: DataScorer = (scoring) =>
  scoresOfSums(scoring, scoring.batches, {
    term: (gradient) => gradient,
    scores: (w, sum) => taylorScores(scoring.ops, w, sum),
  });

/** I = |sum_e W_e g_e|: the absolute value of the whole channel. Linear in g, so one sum a channel is enough, and one pass. */
export const taylorMultivariable: DataScorer = async (scoring) => {
  const { ops, model, linears, batches } = scoring;
  const totals = new Map(linears.map((linear) => [linear.name, new ChannelTotals(linear)]));
  await visitMeanGradients(scoring, batches, (linear, gradient) => {
    totals.get(linear.name)?.add(ops.runtime.scope(() => signedTaylorScores(ops, model.readMatrix(linear), gradient)));
  });
  return new Map(Array.from(totals, ([name, total]) => [name, total.map(Math.abs)]));
};
