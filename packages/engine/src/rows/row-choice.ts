import type { RowSparseConfig } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import type { LinearInfo, TrainableModel } from '../models/causal-lm.js';
import { isHead } from '../models/encoder-layout.js';

export type RowChoice = Pick<RowSparseConfig, 'rows' | 'scorer' | 'targets' | 'layers'> &
  Partial<Pick<RowSparseConfig, 'selection' | 'channels' | 'head_groups' | 'heads' | 'attention_rows' | 'train_biases'>>;

/** Linears that targets and layers name. Throws EngineError (precheck) `unknown_target`, `invalid_layers`. */
export function chosenLinears(
  model: Pick<TrainableModel, 'linears' | 'config'>,
  { targets, layers }: Pick<RowChoice, 'targets' | 'layers'>,
): readonly LinearInfo[] {
  const known = new Set<string>(model.linears.filter((linear) => !isHead(linear)).map(({ target }) => target));
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
  return model.linears.filter(({ target, layer }) => targets.some((name) => name === target) && layer >= first && layer <= last);
}
