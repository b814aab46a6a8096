import type { LinearInfo } from '../../models/causal-lm.js';
import type { ChannelScores } from '../score-matrix.js';
import { channelSums } from './channel-sums.js';
import type { WeightScoring } from './scoring.js';

/**
 * l1 (p = 1), l2 (p = 2): I = sum |W_e|^p over the entries e of a channel, without the root (Li & Bhaskara, arXiv 2502.11439: the "norm"
 * importance). Waits for the device. At most one matrix and its elementwise power are held at a time.
 */
export const normScores =
  (power: 1 | 2) =>
  ({ ops, model }: WeightScoring, linear: LinearInfo): ChannelScores =>
    ops.runtime.scope(() => {
      const w = model.readMatrix(linear);
      return channelSums(ops, power === 1 ? ops.abs(w) : ops.square(w));
    });
