import type { RowSparseConfig } from '@rowsmith/contracts';
import type { Engine } from '../engine.js';
import { EngineError } from '../errors.js';
import type { CausalLM, LinearInfo, RowModule, RowPlan } from '../models/causal-lm.js';
import { byMean } from './normalise.js';
import { rowCount } from './row-count.js';
import { type ScoringContext, scorers } from './scorers.js';
import { selectLargest } from './select.js';

export type RowChoice = Pick<RowSparseConfig, 'rows' | 'scorer' | 'targets' | 'layers'>;

/**
 * Which output rows are trained: a function of weights, configuration and seed. Each linear is scored alone and gives its k best rows
 * (ties to the lower index); linears with k = 0 are left out. The model must hold the base weights.
 * Throws EngineError (precheck) `unknown_target`, `invalid_layers`, `no_rows_selected`, `invalid_model` (a score is not finite).
 */
export function planRows(engine: Engine, model: CausalLM, choice: RowChoice, seed: number): RowPlan {
  const context: ScoringContext = { ops: engine.ops, model, seed };
  const modules = chosenLinears(model, choice).flatMap((linear): RowModule[] => {
    const k = rowCount(choice.rows, linear.outFeatures);
    return k === 0 ? [] : [{ ...linear, indices: selectLargest(finiteScores(context, linear, choice), k) }];
  });
  if (modules.length === 0)
    throw new EngineError(
      'precheck',
      'no_rows_selected',
      `rows ${JSON.stringify(choice.rows)} selects no row of any matrix: raise the ratio or lower round_to`,
      'row_sparse.rows',
    );
  return { modules };
}

function chosenLinears(model: CausalLM, { targets, layers }: RowChoice): readonly LinearInfo[] {
  const known = new Set(model.linears.map(({ target }) => target));
  for (const target of targets)
    if (!known.has(target))
      throw new EngineError(
        'precheck',
        'unknown_target',
        `the model has no linear called ${target}; it has ${[...known].join(', ')}`,
        'row_sparse.targets',
      );
  const [first, last] = layers;
  const top = model.config.n_layers - 1;
  if (!(first >= 0 && first <= last && last <= top))
    throw new EngineError(
      'precheck',
      'invalid_layers',
      `layers [${first}, ${last}] is not a range within [0, ${top}]`,
      'row_sparse.layers',
    );
  return model.linears.filter(({ target, layer }) => targets.includes(target) && layer >= first && layer <= last);
}

function finiteScores(context: ScoringContext, linear: LinearInfo, { scorer }: RowChoice): Float64Array {
  const scores = byMean(scorers[scorer](context, linear));
  if (!scores.every(Number.isFinite))
    throw new EngineError('precheck', 'invalid_model', `${linear.name}: a row's ${scorer} score is not finite; its weights are damaged`);
  return scores;
}
