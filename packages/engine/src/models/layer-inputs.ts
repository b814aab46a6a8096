import type { DecoderConfig, TargetName } from '@rowsmith/contracts';
import type { Ops } from '../ops/ops.js';
import type { Handle } from '../runtime/handle.js';
import { type LayerActivations, type LayerWeights, queryShape } from './layer.js';

/** Targets that read the same input, and how to get that input, [N, in], from what the forward pass of a layer leaves. */
export function layerInputs(
  ops: Ops,
  w: LayerWeights,
  config: DecoderConfig,
  saved: LayerActivations,
  batch: number,
  length: number,
): readonly { readonly targets: readonly TargetName[]; readonly input: () => Handle }[] {
  return [
    { targets: ['q_proj', 'k_proj', 'v_proj'], input: () => ops.rmsNorm(saved.x, w.attnNorm, config.norm_eps) },
    { targets: ['o_proj'], input: () => ops.mergeHeads(saved.out, queryShape(config, batch, length)) },
    { targets: ['gate_proj', 'up_proj'], input: () => ops.rmsNorm(saved.afterAttention, w.mlpNorm, config.norm_eps) },
    { targets: ['down_proj'], input: () => ops.swiGlu(saved.gate, saved.up, config.activation) },
  ];
}
