import type { LossSums } from '../models/causal-lm.js';

export const noSums: LossSums = { lossSum: 0, correct: 0, labelled: 0 };

export function addSums(a: LossSums, b: LossSums): LossSums {
  return { lossSum: a.lossSum + b.lossSum, correct: a.correct + b.correct, labelled: a.labelled + b.labelled };
}

/** Means over the labelled tokens; null without any. Sums are added over batches first, so every labelled token weighs the same. */
export function means({ lossSum, correct, labelled }: LossSums): { readonly loss: number | null; readonly accuracy: number | null } {
  return labelled === 0 ? { loss: null, accuracy: null } : { loss: lossSum / labelled, accuracy: correct / labelled };
}
