import type { ModelConfig } from '@rowsmith/contracts';
import { isHead } from '../models/encoder-layout.js';
import { linearsOfAny } from '../models/model-layout.js';
import type { RowChoice } from './row-choice.js';

/**
 * Packed tensors that training or applying such rows writes into: pass them to `loadModel` as `rowTensors`, so that all other matrices stay
 * mapped and cost no memory of the process.
 */
export function rowTensors(
  config: ModelConfig,
  { targets, layers: [first, last], train_biases }: Pick<RowChoice, 'targets' | 'layers' | 'train_biases'>,
): string[] {
  const chosen = (name: string, layer: number) => targets.some((target) => target === name) && layer >= first && layer <= last;
  const tensors = linearsOfAny(config).flatMap((linear) => {
    const { tensor, bias, target, layer } = linear;
    if (isHead(linear)) return bias ? [tensor, bias] : [tensor];
    if (!chosen(target, layer)) return [];
    return bias && train_biases ? [tensor, bias] : [tensor];
  });
  return [...new Set(tensors)];
}
