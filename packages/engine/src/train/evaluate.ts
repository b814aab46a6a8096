import type { EncodedExample } from '@rowsmith/contracts';
import type { LossSums, TrainableModel } from '../models/causal-lm.js';
import { batchOf } from './collate.js';
import { addSums, noSums } from './loss-sums.js';
import { aborted } from './turn.js';

/** Sums over all examples, in their order, `batch` at a time; null when the signal was aborted in between. */
export async function evaluate(
  model: TrainableModel,
  examples: readonly EncodedExample[],
  batch: number,
  packing: boolean,
  signal: AbortSignal | undefined,
): Promise<LossSums | null> {
  let sums = noSums;
  for (let first = 0; first < examples.length; first += batch) {
    if (await aborted(signal)) return null;
    sums = addSums(sums, model.loss(batchOf(examples.slice(first, first + batch), packing)));
  }
  return sums;
}
