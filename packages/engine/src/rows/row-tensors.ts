import type { DecoderConfig } from '@rowsmith/contracts';
import { linearsOf } from '../models/layout.js';
import type { RowChoice } from './row-choice.js';

/**
 * Packed tensors that training or applying such rows writes into: pass them to `loadModel` as `rowTensors`, so that all other matrices stay
 * mapped and cost no memory of the process.
 */
export function rowTensors(
  config: DecoderConfig,
  { targets, layers: [first, last], train_biases }: Pick<RowChoice, 'targets' | 'layers' | 'train_biases'>,
): string[] {
  const written = linearsOf(config).filter(({ target, layer }) => targets.includes(target) && layer >= first && layer <= last);
  return [...new Set(written.flatMap(({ tensor, bias }) => (bias && train_biases ? [tensor, bias] : [tensor])))];
}
