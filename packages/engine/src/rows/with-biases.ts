import { EngineError } from '../errors.js';
import type { RowPlan } from '../models/causal-lm.js';

/** The plan with the bias entries of its rows, where there is a bias. Throws EngineError (precheck) `invalid_options` when there is none at all. */
export function withBiases({ modules }: RowPlan): RowPlan {
  if (!modules.some(({ bias, indices }) => bias && indices.length > 0))
    throw new EngineError(
      'precheck',
      'invalid_options',
      'train_biases: none of the matrices whose rows are trained has a bias; leave it out',
      'row_sparse.train_biases',
    );
  return { modules: modules.map((module) => (module.bias && module.indices.length > 0 ? { ...module, biases: true } : module)) };
}
