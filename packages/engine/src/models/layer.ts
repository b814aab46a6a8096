import type { DecoderConfig } from '@rowsmith/contracts';
import type { HeadShape, Ops } from '../ops/ops.js';
import type { Weight } from '../ops/weight.js';
import type { Handle } from '../runtime/handle.js';
import type { PositionTables } from './rope-tables.js';
import type { ModelWeights } from './weights.js';

export interface LayerWeights {
  readonly attnNorm: Handle;
  readonly qkv: Weight;
  readonly o: Weight;
  readonly mlpNorm: Handle;
  readonly gateUp: Weight;
  readonly down: Weight;
}

/** What the backward pass needs and does not recompute (norms and SwiGLU are). */
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
}

export function layerWeights(weights: ModelWeights, layer: number): LayerWeights {
  const get = (part: string) => weights.get(`layers.${layer}.${part}`);
  const matrix = (part: string) => weights.matrix(`layers.${layer}.${part}`);
  return {
    attnNorm: get('attn_norm'),
    qkv: matrix('qkv'),
    o: matrix('o'),
    mlpNorm: get('mlp_norm'),
    gateUp: matrix('gate_up'),
    down: matrix('down'),
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

/** Queries, keys and values of x [N, C]; see HeadShape for their layout. */
export function projectHeads(
  ops: Ops,
  w: LayerWeights,
  config: DecoderConfig,
  x: Handle,
  batch: number,
  length: number,
  at: PositionTables,
) {
  const { n_heads: H, n_kv_heads: K, head_dim: D } = config;
  const h = ops.rmsNorm(x, w.attnNorm, config.norm_eps);
  // Views of the fused matrix's rows: one product each saves splitting its output.
  const project = (start: number, count: number) => ops.linear(h, ops.sliceRows(w.qkv, start, count));
  const keys = keyShape(config, batch, length);
  return {
    q: ops.splitHeadsRope(project(0, H * D), queryShape(config, batch, length), at.q),
    k: ops.splitHeadsRope(project(H * D, K * D), keys, at.k),
    v: ops.splitHeads(project((H + K) * D, K * D), keys),
  };
}

/** The second half of a layer: x [N, C] and the merged attention output [N, HD] to the layer's output. */
export function feedForward(ops: Ops, w: LayerWeights, config: DecoderConfig, x: Handle, attention: Handle) {
  const { sum: afterAttention, normed } = ops.addRmsNorm(x, ops.linear(attention, w.o), w.mlpNorm, config.norm_eps);
  const F = config.intermediate_size;
  const gate = ops.linear(normed, ops.sliceRows(w.gateUp, 0, F));
  const up = ops.linear(normed, ops.sliceRows(w.gateUp, F, F));
  const y = ops.add(afterAttention, ops.linear(ops.swiGlu(gate, up), w.down));
  return { afterAttention, gate, up, y };
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
): { readonly y: Handle; readonly saved: LayerActivations } {
  const shape = queryShape(config, batch, length);
  const { q, k, v } = projectHeads(ops, w, config, x, batch, length, at);
  const { out, lse } = ops.causalAttention(q, k, v, shape, at.starts && { starts: at.starts });
  const { afterAttention, gate, up, y } = feedForward(ops, w, config, x, ops.mergeHeads(out, shape));
  return { y, saved: { x, q, k, v, out, lse, afterAttention, gate, up } };
}
