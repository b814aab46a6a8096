import type { RowModule, RowPlan, TrainableModel } from '../models/causal-lm.js';
import { isHead } from '../models/encoder-layout.js';

/** The plan with the heads of a classifier, all their rows and biases, whatever it said of them; a decoder has none. */
export function withClassifier({ linears }: Pick<TrainableModel, 'linears'>, { modules }: RowPlan): RowPlan {
  const heads = linears.filter(isHead).map((linear): RowModule => {
    const indices = Int32Array.from({ length: linear.outFeatures }, (_, row) => row);
    return { ...linear, indices, biases: true };
  });
  return heads.length === 0 ? { modules } : { modules: [...modules.filter((module) => !isHead(module)), ...heads] };
}
