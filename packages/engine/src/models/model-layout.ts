/** Layouts of both kinds of models. */
import { isEncoder, type ModelConfig } from '@rowsmith/contracts';
import type { LinearInfo } from './causal-lm.js';
import { encoderLinears, encoderShapes } from './encoder-layout.js';
import { linearsOf, packedShapes } from './layout.js';

/** Of a new classifier: any number gives the same tensors, of other heights. */
const someClasses = 2;

export const linearsOfAny = (config: ModelConfig): readonly LinearInfo[] =>
  isEncoder(config) ? encoderLinears(config, config.classes?.length ?? someClasses) : linearsOf(config);

/** Shapes of the packed tensors by name. */
export const shapesOfAny = (config: ModelConfig): ReadonlyMap<string, readonly number[]> =>
  isEncoder(config) ? encoderShapes(config, config.classes?.length ?? someClasses) : packedShapes(config);
