import type { DecoderConfig, TargetName } from '@rowsmith/contracts';
import type { HeadShape, Ops } from '../ops/ops.js';
import type { Weight } from '../ops/weight.js';
import type { Handle } from '../runtime/handle.js';
import type { PositionTables } from './rope-tables.js';
import type { UpdatePath } from './update-path.js';
import type { ModelWeights } from './weights.js';

export interface LayerWeights {
  readonly attnNorm: Handle;
  readonly qkv: Weight;
  readonly o: Weight;
  readonly mlpNorm: Handle;
  readonly gateUp: Weight;
  readonly down: Weight;
  readonly qkvBias?: Handle;
  readonly oBias?: Handle;
  readonly gateUpBias?: Handle;
  readonly downBias?: Handle;
  readonly qNorm?: Handle;
  readonly kNorm?: Handle;
  readonly attnPostNorm?: Handle;
  readonly mlpPostNorm?: Handle;
}

/** What the backward pass needs and does not recompute (norms and gates are). All present ones are handles. */
export interface LayerActivations {
  readonly x: Handle;
  readonly q: Handle;
  readonly k: Handle;
  readonly v: Handle;
  readonly out: Handle;
  readonly lse: Handle;
  readonly afterAttention: Handle;
  readonly gate: Handle;
  readonly up: Handle;
  /** Before their norms, [N, H*D] and [N, K*D]; where the model has them. */
  readonly rawQ?: Handle;
  readonly rawK?: Handle;
  /** Outputs of the two halves before their norms, [N, C]; where the model has them. */
  readonly attentionOutput?: Handle;
  readonly mlpOutput?: Handle;
}

export function layerWeights(weights: ModelWeights, layer: number): LayerWeights {
  const get = (part: string) => weights.get(`layers.${layer}.${part}`);
  const matrix = (part: string) => weights.matrix(`layers.${layer}.${part}`);
  const { qkv_bias, o_bias, mlp_bias, qk_norm, post_norms } = weights.config;
  return {
    attnNorm: get('attn_norm'),
    qkv: matrix('qkv'),
    o: matrix('o'),
    mlpNorm: get('mlp_norm'),
    gateUp: matrix('gate_up'),
    down: matrix('down'),
    ...(qkv_bias ? { qkvBias: get('qkv_bias') } : {}),
    ...(o_bias ? { oBias: get('o_bias') } : {}),
    ...(mlp_bias ? { gateUpBias: get('gate_up_bias'), downBias: get('down_bias') } : {}),
    ...(qk_norm ? { qNorm: get('q_norm'), kNorm: get('k_norm') } : {}),
    ...(post_norms ? { attnPostNorm: get('attn_post_norm'), mlpPostNorm: get('mlp_post_norm') } : {}),
  };
}

export const queryShape = (config: DecoderConfig, batch: number, length: number): HeadShape => ({
  batch,
  length,
  heads: config.n_heads,
  kvHeads: config.n_kv_heads,
  headDim: config.head_dim,
});
export const keyShape = (config: DecoderConfig, batch: number, length: number): HeadShape => ({
  ...queryShape(config, batch, length),
  heads: config.n_kv_heads,
});

const updated = (path: UpdatePath | undefined, target: TargetName, x: Handle, y: Handle): Handle => path?.forward(target, x, y) ?? y;
const biased = (ops: Ops, x: Handle, bias: Handle | undefined): Handle => (bias ? ops.add(x, bias) : x);
/** Part of a packed bias: its elements [start, start + count). */
const partOf = (ops: Ops, bias: Handle | undefined, start: number, count: number): Handle | undefined =>
  bias && ops.sliceRows(bias, start, count);

/** Queries, keys and values of x [N, C]; see HeadShape for their layout. raw: queries and keys before their norms, where the model has them. */
export function projectHeads(
  ops: Ops,
  w: LayerWeights,
  config: DecoderConfig,
  x: Handle,
  batch: number,
  length: number,
  at: PositionTables,
  path?: UpdatePath,
) {
  const { n_heads: H, n_kv_heads: K, head_dim: D } = config;
  const h = ops.rmsNorm(x, w.attnNorm, config.norm_eps);
  // Views of the fused matrix's rows: one product each saves splitting its output.
  const project = (target: TargetName, start: number, count: number) =>
    biased(ops, updated(path, target, h, ops.linear(h, ops.sliceRows(w.qkv, start, count))), partOf(ops, w.qkvBias, start, count));
  const rawQ = project('q_proj', 0, H * D);
  const rawK = project('k_proj', H * D, K * D);
  const keys = keyShape(config, batch, length);
  return {
    q: ops.splitHeadsRope(headNorm(ops, rawQ, w.qNorm, config), queryShape(config, batch, length), at.q),
    k: ops.splitHeadsRope(headNorm(ops, rawK, w.kNorm, config), keys, at.k),
    v: ops.splitHeads(project('v_proj', (H + K) * D, K * D), keys),
    raw: w.qNorm ? { rawQ, rawK } : {},
  };
}

/** RMS norm of every head of [N, heads*D]. weight: [D]; absent: x as it is. */
function headNorm(ops: Ops, x: Handle, weight: Handle | undefined, { head_dim: D, norm_eps }: DecoderConfig): Handle {
  if (!weight) return x;
  const [rows = 0, width = 0] = x.shape;
  return ops.reshape(ops.rmsNorm(ops.reshape(x, [(rows * width) / D, D]), weight, norm_eps), [rows, width]);
}

/** Of the second half of a layer what its backward pass reads; x [N, C], attention merged [N, HD]. */
function gatedInputs(ops: Ops, w: LayerWeights, config: DecoderConfig, x: Handle, attention: Handle, path?: UpdatePath) {
  const { intermediate_size: F, norm_eps: eps } = config;
  const attentionOutput = biased(ops, updated(path, 'o_proj', attention, ops.linear(attention, w.o)), w.oBias);
  const added = w.attnPostNorm ? ops.rmsNorm(attentionOutput, w.attnPostNorm, eps) : attentionOutput;
  const { sum: afterAttention, normed } = ops.addRmsNorm(x, added, w.mlpNorm, eps);
  const project = (target: TargetName, start: number) =>
    biased(ops, updated(path, target, normed, ops.linear(normed, ops.sliceRows(w.gateUp, start, F))), partOf(ops, w.gateUpBias, start, F));
  return { attentionOutput, afterAttention, gate: project('gate_proj', 0), up: project('up_proj', F) };
}

function downProjection(ops: Ops, w: LayerWeights, { activation }: DecoderConfig, gate: Handle, up: Handle, path?: UpdatePath): Handle {
  const act = ops.swiGlu(gate, up, activation);
  return biased(ops, updated(path, 'down_proj', act, ops.linear(act, w.down)), w.downBias);
}

/** The second half of a layer: x [N, C] and the merged attention output [N, HD] to the layer's output. */
export function feedForward(ops: Ops, w: LayerWeights, config: DecoderConfig, x: Handle, attention: Handle, path?: UpdatePath) {
  const { attentionOutput, afterAttention, gate, up } = gatedInputs(ops, w, config, x, attention, path);
  const mlpOutput = downProjection(ops, w, config, gate, up, path);
  const y = ops.add(afterAttention, w.mlpPostNorm ? ops.rmsNorm(mlpOutput, w.mlpPostNorm, config.norm_eps) : mlpOutput);
  return { afterAttention, gate, up, y, outputs: w.attnPostNorm ? { attentionOutput, mlpOutput } : {} };
}

/** The first half of a layer up to the merged attention output, [N, HD]. */
function attend(
  ops: Ops,
  w: LayerWeights,
  config: DecoderConfig,
  x: Handle,
  batch: number,
  length: number,
  at: PositionTables,
  path?: UpdatePath,
) {
  const shape = queryShape(config, batch, length);
  const { q, k, v, raw } = projectHeads(ops, w, config, x, batch, length, at, path);
  const { out, lse } = ops.causalAttention(q, k, v, shape, at.mask);
  return { merged: ops.mergeHeads(out, shape), saved: { x, q, k, v, out, lse, ...raw } };
}

/** Forward of one layer. y: [N, C]. Everything is in the caller's scope. */
export function layerForward(
  ops: Ops,
  w: LayerWeights,
  config: DecoderConfig,
  x: Handle,
  batch: number,
  length: number,
  at: PositionTables,
  path?: UpdatePath,
): { readonly y: Handle; readonly saved: LayerActivations } {
  const { merged, saved } = attend(ops, w, config, x, batch, length, at, path);
  const { y, outputs, ...second } = feedForward(ops, w, config, x, merged, path);
  return { y, saved: { ...saved, ...second, ...outputs } };
}

/**
 * What `layerForward` saves, with the same bits, made again from the layer's input. The output is not made, nor, where no norm reads it, the product of
 * down_proj, a quarter of a layer's arithmetic. Everything is in the caller's scope.
 */
export function layerAgain(
  ops: Ops,
  w: LayerWeights,
  config: DecoderConfig,
  x: Handle,
  batch: number,
  length: number,
  at: PositionTables,
  path?: UpdatePath,
): LayerActivations {
  const { merged, saved } = attend(ops, w, config, x, batch, length, at, path);
  const { attentionOutput, ...second } = gatedInputs(ops, w, config, x, merged, path);
  const outputs = w.attnPostNorm ? { attentionOutput, mlpOutput: downProjection(ops, w, config, second.gate, second.up, path) } : {};
  return { ...saved, ...second, ...outputs };
}
