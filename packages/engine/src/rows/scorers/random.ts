import type { LinearInfo } from '../../models/causal-lm.js';
import { philox } from '../../runtime/philox.js';
import type { ChannelScores } from '../score-matrix.js';
import type { WeightScoring } from './scoring.js';

/** Uniform in [0, 1): a function of (seed, name of the linear), so that the channels of one linear do not depend on which others are chosen. */
export function randomScores({ seed }: WeightScoring, { name, outFeatures, inFeatures }: LinearInfo): ChannelScores {
  return {
    out: philox(seed, `rows ${name}`, 0).fill(new Float32Array(outFeatures), 0, 1),
    in: philox(seed, `columns ${name}`, 0).fill(new Float32Array(inFeatures), 0, 1),
  };
}
