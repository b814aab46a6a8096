import { type DecoderConfig, type TargetName, targetNames } from '@rowsmith/contracts';
import type { LinearInfo } from './causal-lm.js';

/** Shapes of the packed tensors of a model, by name. */
export function packedShapes(config: DecoderConfig): ReadonlyMap<string, readonly number[]> {
  const { hidden_size: C, intermediate_size: F, vocab_size: V, n_heads: H, n_kv_heads: K, head_dim: D } = config;
  const { qkv_bias, o_bias, mlp_bias, qk_norm, post_norms } = config;
  const shapes = new Map<string, readonly number[]>([
    ['embed', [V, C]],
    ['final_norm', [C]],
  ]);
  if (!config.tie_embeddings) shapes.set('lm_head', [V, C]);
  for (let i = 0; i < config.n_layers; i++) {
    shapes.set(`layers.${i}.attn_norm`, [C]);
    shapes.set(`layers.${i}.qkv`, [(H + 2 * K) * D, C]);
    shapes.set(`layers.${i}.o`, [C, H * D]);
    shapes.set(`layers.${i}.mlp_norm`, [C]);
    shapes.set(`layers.${i}.gate_up`, [2 * F, C]);
    shapes.set(`layers.${i}.down`, [C, F]);
    if (qkv_bias) shapes.set(`layers.${i}.qkv_bias`, [(H + 2 * K) * D]);
    if (o_bias) shapes.set(`layers.${i}.o_bias`, [C]);
    if (mlp_bias) shapes.set(`layers.${i}.gate_up_bias`, [2 * F]).set(`layers.${i}.down_bias`, [C]);
    if (qk_norm) shapes.set(`layers.${i}.q_norm`, [D]).set(`layers.${i}.k_norm`, [D]);
    if (post_norms) shapes.set(`layers.${i}.attn_post_norm`, [C]).set(`layers.${i}.mlp_post_norm`, [C]);
  }
  return shapes;
}

/** The seven linears of every layer, in the order layer, then `targetNames`. */
export function linearsOf(config: DecoderConfig): readonly LinearInfo[] {
  const { hidden_size: C, intermediate_size: F, n_heads: H, n_kv_heads: K, head_dim: D } = config;
  const places: Record<TargetName, readonly [block: string, tensor: string, rowOffset: number, outFeatures: number, inFeatures: number]> = {
    q_proj: ['self_attn', 'qkv', 0, H * D, C],
    k_proj: ['self_attn', 'qkv', H * D, K * D, C],
    v_proj: ['self_attn', 'qkv', (H + K) * D, K * D, C],
    o_proj: ['self_attn', 'o', 0, C, H * D],
    gate_proj: ['mlp', 'gate_up', 0, F, C],
    up_proj: ['mlp', 'gate_up', F, F, C],
    down_proj: ['mlp', 'down', 0, C, F],
  };
  const { qkv_bias, o_bias, mlp_bias } = config;
  const biased: Readonly<Record<string, boolean | undefined>> = { qkv: qkv_bias, o: o_bias, gate_up: mlp_bias, down: mlp_bias };
  return Array.from({ length: config.n_layers }, (_, layer) =>
    targetNames.map((target): LinearInfo => {
      const [block, tensor, rowOffset, outFeatures, inFeatures] = places[target];
      const name = `model.layers.${layer}.${block}.${target}`;
      const packed = `layers.${layer}.${tensor}`;
      const bias = biased[tensor] ? { bias: `${packed}_bias` } : {};
      return { name, layer, target, tensor: packed, rowOffset, outFeatures, inFeatures, ...bias };
    }),
  ).flat();
}
