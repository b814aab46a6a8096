import type { EncoderConfig, TargetName } from '@rowsmith/contracts';
import type { HeadShape, Ops } from '../ops/ops.js';
import type { Weight } from '../ops/weight.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import type { UpdatePath } from './update-path.js';
import type { ModelTensors } from './weights.js';

export interface EncoderLayerWeights {
  readonly qkv: Weight;
  readonly qkvBias: Handle;
  readonly o: Weight;
  readonly oBias: Handle;
  readonly attnNorm: Handle;
  readonly attnNormBias: Handle;
  readonly up: Weight;
  readonly upBias: Handle;
  readonly down: Weight;
  readonly downBias: Handle;
  readonly mlpNorm: Handle;
  readonly mlpNormBias: Handle;
}

/** What the backward pass needs and does not recompute (probabilities, norms and GELU are). */
export interface EncoderActivations {
  readonly x: Handle;
  readonly q: Handle;
  readonly k: Handle;
  readonly v: Handle;
  readonly out: Handle;
  /** Sums before the two norms. */
  readonly attentionSum: Handle;
  readonly up: Handle;
  readonly mlpSum: Handle;
}

/** A batch on the device, and what computes with it. */
export interface EncoderContext {
  readonly runtime: Runtime;
  readonly ops: Ops;
  readonly config: EncoderConfig;
  readonly shape: HeadShape;
  /** [B] i32: tokens of each sequence that are seen. */
  readonly counts: Handle;
  /** Dropout on the update path; absent: none. */
  readonly path?: UpdatePath | undefined;
}

export function encoderLayerWeights(weights: ModelTensors, layer: number): EncoderLayerWeights {
  const get = (part: string) => weights.get(`layers.${layer}.${part}`);
  const matrix = (part: string) => weights.matrix(`layers.${layer}.${part}`);
  return {
    ...{ qkv: matrix('qkv'), qkvBias: get('qkv_bias'), o: matrix('o'), oBias: get('o_bias') },
    ...{ attnNorm: get('attn_norm'), attnNormBias: get('attn_norm_bias') },
    ...{ up: matrix('up'), upBias: get('up_bias'), down: matrix('down'), downBias: get('down_bias') },
    ...{ mlpNorm: get('mlp_norm'), mlpNormBias: get('mlp_norm_bias') },
  };
}

/** Input of the feed-forward half, [N, C]. */
export const afterAttention = ({ ops, config }: EncoderContext, w: EncoderLayerWeights, attentionSum: Handle): Handle =>
  ops.layerNorm(attentionSum, w.attnNorm, w.attnNormBias, config.norm_eps);

/** Forward of one layer (Devlin et al., arXiv 1810.04805: norms after each half). x, y: [N, C]. Everything is in the caller's scope. */
export function encoderLayerForward(
  context: EncoderContext,
  w: EncoderLayerWeights,
  x: Handle,
): { readonly y: Handle; readonly saved: EncoderActivations } {
  const { ops, config, shape, counts, path } = context;
  const C = config.hidden_size;
  const linear = (target: TargetName, input: Handle, weight: Weight, bias: Handle): Handle => {
    const product = ops.linear(input, weight);
    return ops.add(path?.forward(target, input, product) ?? product, bias);
  };
  // Views of the fused matrix's rows: one product each saves splitting its output.
  const project = (target: TargetName, start: number) =>
    ops.splitHeads(linear(target, x, ops.sliceRows(w.qkv, start, C), ops.sliceRows(w.qkvBias, start, C)), shape);
  const q = ops.scale(project('q_proj', 0), shape.headDim ** -0.5);
  const k = project('k_proj', C);
  const v = project('v_proj', 2 * C);
  const out = ops.paddedAttention(q, k, v, counts);
  const attentionSum = ops.add(x, linear('o_proj', ops.mergeHeads(out, shape), w.o, w.oBias));
  const h = afterAttention(context, w, attentionSum);
  const up = linear('up_proj', h, w.up, w.upBias);
  const mlpSum = ops.add(h, linear('down_proj', ops.gelu(up), w.down, w.downBias));
  const y = ops.layerNorm(mlpSum, w.mlpNorm, w.mlpNormBias, config.norm_eps);
  return { y, saved: { x, q, k, v, out, attentionSum, up, mlpSum } };
}

/** Targets that read the same input, and that input, [N, in]. */
export function encoderInputs(
  context: EncoderContext,
  w: EncoderLayerWeights,
  saved: EncoderActivations,
): readonly { readonly targets: readonly TargetName[]; readonly input: () => Handle }[] {
  const { ops, shape } = context;
  return [
    { targets: ['q_proj', 'k_proj', 'v_proj'], input: () => saved.x },
    { targets: ['o_proj'], input: () => ops.mergeHeads(saved.out, shape) },
    { targets: ['up_proj'], input: () => afterAttention(context, w, saved.attentionSum) },
    { targets: ['down_proj'], input: () => ops.gelu(saved.up) },
  ];
}
