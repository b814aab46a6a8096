import type { Engine } from '../engine.js';
import { EngineError } from '../errors.js';
import type { RowPlan, TrainableModel } from '../models/causal-lm.js';
import { planFromScores } from './plan-from-scores.js';
import { chosenLinears, type RowChoice } from './row-choice.js';
import type { ScoreMatrix } from './score-matrix.js';
import { needsData, weightScorers } from './scorers/scorers.js';

/**
 * Which output rows are trained: a function of weights, configuration and seed, for scorers that need no data. The model must hold the base weights.
 * Throws EngineError (precheck) as `planFromScores` and `chosenLinears`, and `invalid_options` for a scorer that needs data: use `scoreChannels`.
 */
export function planRows(engine: Engine, model: TrainableModel, choice: RowChoice, seed: number): RowPlan {
  return planFromScores(model, choice, weightScores(engine, model, choice, seed));
}

function weightScores({ ops }: Engine, model: TrainableModel, choice: RowChoice, seed: number): ScoreMatrix {
  const { scorer } = choice;
  if (needsData(scorer))
    throw new EngineError('precheck', 'invalid_options', `the scorer ${scorer} needs training data`, 'row_sparse.scorer');
  const score = weightScorers[scorer];
  return new Map(chosenLinears(model, choice).map((linear) => [linear.name, score({ ops, model, seed }, linear)]));
}
