import { type EncoderConfig, encoderTargetNames } from '@rowsmith/contracts';
import type { HeadName, LinearInfo } from './causal-lm.js';

/** Shapes of the packed tensors of an encoder with a classifier of that many classes, by name. */
export function encoderShapes(config: EncoderConfig, classes: number): ReadonlyMap<string, readonly number[]> {
  const { hidden_size: C, intermediate_size: F, vocab_size: V, max_position_embeddings: P, type_vocab_size: Y } = config;
  const shapes = new Map<string, readonly number[]>([
    ['embed', [V, C]],
    ['positions', [P, C]],
    ['types', [Y, C]],
    ['embed_norm', [C]],
    ['embed_norm_bias', [C]],
  ]);
  for (let i = 0; i < config.n_layers; i++) {
    const linear = (name: string, outFeatures: number, inFeatures: number) =>
      shapes.set(`layers.${i}.${name}`, [outFeatures, inFeatures]).set(`layers.${i}.${name}_bias`, [outFeatures]);
    linear('qkv', 3 * C, C);
    linear('o', C, C);
    linear('up', F, C);
    linear('down', C, F);
    for (const norm of ['attn_norm', 'mlp_norm']) shapes.set(`layers.${i}.${norm}`, [C]).set(`layers.${i}.${norm}_bias`, [C]);
  }
  return shapes.set('pooler', [C, C]).set('pooler_bias', [C]).set('classifier', [classes, C]).set('classifier_bias', [classes]);
}

/** The six linears of every layer, then the two heads. */
export function encoderLinears(config: EncoderConfig, classes: number): readonly LinearInfo[] {
  const { hidden_size: C, intermediate_size: F, n_layers } = config;
  type Place = readonly [module: string, tensor: string, rowOffset: number, outFeatures: number, inFeatures: number];
  const places: Record<(typeof encoderTargetNames)[number], Place> = {
    q_proj: ['attention.self.query', 'qkv', 0, C, C],
    k_proj: ['attention.self.key', 'qkv', C, C, C],
    v_proj: ['attention.self.value', 'qkv', 2 * C, C, C],
    o_proj: ['attention.output.dense', 'o', 0, C, C],
    up_proj: ['intermediate.dense', 'up', 0, F, C],
    down_proj: ['output.dense', 'down', 0, C, F],
  };
  const layers = Array.from({ length: n_layers }, (_, layer) =>
    encoderTargetNames.map((target): LinearInfo => {
      const [module, tensor, rowOffset, outFeatures, inFeatures] = places[target];
      const packed = `layers.${layer}.${tensor}`;
      const name = `bert.encoder.layer.${layer}.${module}`;
      return { name, layer, target, tensor: packed, bias: `${packed}_bias`, rowOffset, outFeatures, inFeatures };
    }),
  ).flat();
  const head = (target: HeadName, name: string, outFeatures: number): LinearInfo => ({
    ...{ name, target, tensor: target, bias: `${target}_bias`, rowOffset: 0, outFeatures },
    ...{ layer: n_layers, inFeatures: C },
  });
  return [...layers, head('pooler', 'bert.pooler.dense', C), head('classifier', 'classifier', classes)];
}

export const isHead = ({ target }: Pick<LinearInfo, 'target'>): boolean => target === 'pooler' || target === 'classifier';
