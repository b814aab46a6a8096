import type { ScorerName } from '@rowsmith/contracts';
import type { LinearInfo } from '../../models/causal-lm.js';
import type { ChannelScores } from '../score-matrix.js';
import { fisher } from './fisher.js';
import { normScores } from './norm.js';
import { randomScores } from './random.js';
import type { DataScorer, WeightScoring } from './scoring.js';
import { taylor, taylorMultivariable } from './taylor.js';
import { taylor2 } from './taylor2.js';
import { wanda } from './wanda.js';
import { zoTaylor } from './zo-taylor.js';

export const weightScorerNames = ['l1', 'l2', 'random'] as const satisfies readonly ScorerName[];
export type WeightScorerName = (typeof weightScorerNames)[number];

/** Functions of one matrix (and the seed) alone. */
export const weightScorers: Readonly<Record<WeightScorerName, (scoring: WeightScoring, linear: LinearInfo) => ChannelScores>> = {
  l1: normScores(1),
  l2: normScores(2),
  random: randomScores,
};

/** Functions of the model and the training data. */
export const dataScorers: Readonly<Record<Exclude<ScorerName, WeightScorerName>, DataScorer>> = {
  wanda,
  taylor,
  taylor_multivariable: taylorMultivariable,
  fisher,
  taylor2,
  zo_taylor: zoTaylor,
};

export const needsData = (scorer: ScorerName): scorer is Exclude<ScorerName, WeightScorerName> =>
  !weightScorerNames.some((name) => name === scorer);
