import type { ModuleRows, RowDelta } from '@rowsmith/contracts';
import type { SequenceClassifier } from '../models/causal-lm.js';
import { philox, type RandomStream } from '../runtime/philox.js';

/** Of BERT's initialiser. */
const deviation = 0.02;

/**
 * Heads that the base lacks, as updates of zeros: weights normal(0, 0.02), biases zero, a function of seed, name and shape. Empty where it has all. To be
 * applied while rows are scored (with a classifier of zeros nothing below it has a gradient) and to be the start of training.
 */
export function newClassifier({ fresh }: Pick<SequenceClassifier, 'fresh'>, seed: number): RowDelta {
  return new Map(
    Array.from(fresh, ({ name, outFeatures, inFeatures }): readonly [string, ModuleRows] => {
      const random = philox(seed, `head ${name}`, 0);
      const delta = Float32Array.from({ length: outFeatures * inFeatures }, () => deviation * normal(random));
      const indices = Int32Array.from({ length: outFeatures }, (_, row) => row);
      return [name, { indices, delta, biasDelta: new Float32Array(outFeatures), outFeatures, inFeatures }];
    }),
  );
}

/** Box & Muller (1958): one of the pair. */
function normal(random: RandomStream): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.f32()));
  return radius * Math.cos(2 * Math.PI * random.f32());
}
