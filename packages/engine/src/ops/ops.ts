/**
 * The seam between the mathematics and what computes it: about forty named functions. `StockOps` composes stock TensorFlow operators and is
 * the reference; fused kernels override single functions; a graph emitter can record them, so no function reads a tensor's values on the host.
 *
 * Letters: B batch, T sequence, N = B*T rows, C model width, F feed-forward width, V vocabulary, H heads, K key/value heads, G = H/K, D head width,
 * M labelled rows, R selected rows. Every tensor is f32 and row-major unless it says otherwise. Every result is new, belongs to the innermost
 * scope and is the caller's to release; arguments stay the caller's.
 * Head order: queries and attention outputs are [B, K, T*G, D] (row t*G + g of key/value head k is query head k*G + g), keys and values [B, K, T, D].
 */
import type { Int8Codes, Nf4Codes, Place } from '../quant/formats.js';
import type { Handle } from '../runtime/handle.js';
import type { Weight } from './weight.js';

export interface HeadShape {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** What a query of causal attention sees besides "itself and what is before it"; absent: all of that, scores as they are. */
export interface AttentionMask {
  /** A query sees itself and the `window - 1` positions before it; 0: all. */
  readonly window?: number;
  /** A score s counts as softcap * tanh(s / softcap). */
  readonly softcap?: number;
  /** First visible key of each query, in [0, query]: [T] for all sequences, or [B, T]; i32. Packed examples: the start of the query's example. */
  readonly starts?: Handle;
}

/** The gate's function of a feed-forward block: SiLU, or GELU by its tanh formula. */
export type Activation = 'silu' | 'gelu_tanh';

/**
 * Rotations of positions 0..T-1: cosines and signed sines, [T, G*D] for queries (scaled by attention's factor), [T, D] for keys. The first `dim`
 * dimensions of a head turn; at the others cos holds the scale, sin 0.
 */
export interface RopeTable {
  readonly cos: Handle;
  readonly sin: Handle;
  readonly dim: number;
}

export interface RopeTableOptions {
  readonly headDim: number;
  /** How often a head's columns are repeated beside each other. */
  readonly copies: number;
  /** Radians per position of each pair: [dim/2]. */
  readonly frequencies: Float32Array;
  /** Multiplies cosines and sines of what turns; default 1. */
  readonly attentionFactor?: number;
  /** Multiplies everything. */
  readonly scale: number;
}

export interface Ops {
  // Memory
  zeros(shape: readonly number[]): Handle;
  reshape(x: Handle, shape: readonly number[]): Handle;
  /** A copy with memory of its own. */
  copy(x: Handle): Handle;
  /** Rows [start, start + count) on dimension 0. Shares memory where the address is aligned, else copies: never write into the result. */
  sliceRows(x: Handle, start: number, count: number): Handle;
  sliceRows(x: Weight, start: number, count: number): Weight;
  concatRows(parts: readonly Handle[]): Handle;
  /** On the last dimension. */
  concatColumns(parts: readonly Handle[]): Handle;
  /** x[ids[i]] on dimension 0. ids: [n] i32. */
  gatherRows(x: Handle, ids: Handle): Handle;
  /** x[:, ids[i]]. x: [N, m], ids: [r] i32 → [N, r]. */
  gatherColumns(x: Handle, ids: Handle): Handle;
  /** x[:, start : start + count], a copy. x: [N, m] */
  sliceColumns(x: Handle, start: number, count: number): Handle;
  /** Zeros [count, width] with rows[i] at ids[i]. ids: [n] i32, distinct. */
  scatterRows(rows: Handle, ids: Handle, count: number): Handle;
  /** x[ids[i]] = rows[i], in x's own memory. ids: [r] i32, distinct. */
  writeRows(x: Handle, ids: Handle, rows: Handle): void;
  /** The flattened x at ids[i] becomes the flattened values at i, in x's own memory. ids: [n] i32, distinct. */
  writeElements(x: Handle, ids: Handle, values: Handle): void;

  /** 1/(1 - rate) with probability 1 - rate, else 0, each entry for itself: a function of shape, rate and the key of two u32 (or [2] i32). f32. */
  dropoutMask(shape: readonly number[], rate: number, key: readonly [number, number] | Handle): Handle;

  // Elementwise, with broadcasting
  add(a: Handle, b: Handle): Handle;
  subtract(a: Handle, b: Handle): Handle;
  multiply(a: Handle, b: Handle): Handle;
  divide(a: Handle, b: Handle): Handle;
  scale(x: Handle, factor: number): Handle;
  /** Sum of equal shapes, added in the order given. */
  addAll(parts: readonly Handle[]): Handle;
  abs(x: Handle): Handle;
  square(x: Handle): Handle;
  sqrt(x: Handle): Handle;
  /** cap * tanh(x / cap) */
  softcap(x: Handle, cap: number): Handle;

  // Reductions
  /** [] */
  sumAll(x: Handle): Handle;
  /** [N, m] → [N] */
  sumColumns(x: Handle): Handle;
  /** [N, m] → [m] */
  sumRows(x: Handle): Handle;
  /** Of the last dimension; i32, ties go to the lower index. */
  argMax(x: Handle): Handle;

  // Matrix products
  /** x w^T. x: [N, in], w: [out, in] → [N, out] */
  linear(x: Handle, w: Weight): Handle;
  /** g w: the gradient with respect to a linear's input. g: [N, out], w: [out, in] → [N, in] */
  linearBackward(g: Handle, w: Weight): Handle;
  /** g^T x: the gradient of selected rows. g: [N, R] (the columns of the output gradient), x: [N, in] → [R, in] */
  rowGradient(g: Handle, x: Handle): Handle;

  // Quantised matrices
  /** w: [out, in]; `block` numbers along the row-major matrix share a scale. */
  quantiseNf4(w: Handle, block: number): Nf4Codes;
  /** [rows, columns] f32 */
  dequantiseNf4(codes: Nf4Codes, block: number, place: Place): Handle;
  /** A row's scale is its largest |w| / 127. w: [out, in] */
  quantiseInt8(w: Handle): Int8Codes;
  /** [rows, columns] f32 */
  dequantiseInt8(codes: Int8Codes, place: Place): Handle;

  /** To bfloat16, ties to even. */
  roundBf16(w: Handle): Handle;
  /** [rows, columns] f32 */
  widenBf16(w: Handle, place: Place): Handle;

  // The decoder's parts
  /** x / sqrt(mean(x^2) + eps) * weight. x: [N, C], weight: [C] → [N, C] */
  rmsNorm(x: Handle, weight: Handle, eps: number): Handle;
  /** sum = x + delta [N, C]; normed = rmsNorm(sum). */
  addRmsNorm(x: Handle, delta: Handle, weight: Handle, eps: number): { readonly sum: Handle; readonly normed: Handle };
  /** dx: gradient with respect to x, plus `residual` when given; normed: rmsNorm(x) again. dy, x, residual: [N, C] → [N, C] each. */
  rmsNormBackward(dy: Handle, x: Handle, weight: Handle, eps: number, residual?: Handle): { readonly dx: Handle; readonly normed: Handle };
  /** cos, sin: [T, copies*D] of positions 0..T-1; see RopeTable. */
  ropeTable(length: number, options: RopeTableOptions): RopeTable;
  /** Rows [start, start + count) of a table. */
  ropeRows(table: RopeTable, start: number, count: number): RopeTable;
  /** [N, H*D] → [B, K, T*G, D], rotated (rotate-half). For keys pass heads = kvHeads. */
  splitHeadsRope(x: Handle, shape: HeadShape, table: RopeTable): Handle;
  /** Its adjoint: [B, K, T*G, D] → [N, H*D]. */
  splitHeadsRopeBackward(dy: Handle, shape: HeadShape, table: RopeTable): Handle;
  /** [N, H*D] → [B, K, T*G, D] */
  splitHeads(x: Handle, shape: HeadShape): Handle;
  /** [B, K, T*G, D] → [N, H*D] */
  mergeHeads(x: Handle, shape: HeadShape): Handle;
  /** Causal; q is scaled already. out: [B, K, T*G, D], lse: [B, K, T*G, 1] (log of the sum of exponentials, for the backward pass). */
  causalAttention(q: Handle, k: Handle, v: Handle, shape: HeadShape, mask?: AttentionMask): { readonly out: Handle; readonly lse: Handle };
  /** Same without `lse`. */
  causalAttentionForward(q: Handle, k: Handle, v: Handle, shape: HeadShape, mask?: AttentionMask): Handle;
  /** Every query sees every key: decoding one position. q: [B, K, G, D], k, v: [B, K, t, D] → [B, K, G, D]. softcap: as AttentionMask's. */
  fullAttention(q: Handle, k: Handle, v: Handle, softcap?: number): Handle;
  /** Gradients with respect to (scaled) q, k, v. out, dOut: [B, K, T*G, D]. */
  causalAttentionBackward(
    dOut: Handle,
    saved: { readonly q: Handle; readonly k: Handle; readonly v: Handle; readonly out: Handle; readonly lse: Handle },
    shape: HeadShape,
    mask?: AttentionMask,
  ): { readonly dq: Handle; readonly dk: Handle; readonly dv: Handle };
  /** Appends on the sequence dimension: [B, K, t, D] and [B, K, u, D] → [B, K, t+u, D] */
  appendSequence(past: Handle, next: Handle): Handle;
  /** x[:, :, start : start + count]. x: [B, K, t, D] */
  sliceSequence(x: Handle, start: number, count: number): Handle;
  /** act(gate) * up. [N, F] each. activation: default silu. */
  swiGlu(gate: Handle, up: Handle, activation?: Activation): Handle;
  /** act: act(gate) * up again; gradients of gate and up. [N, F] each. */
  swiGluBackward(
    dAct: Handle,
    gate: Handle,
    up: Handle,
    activation?: Activation,
  ): { readonly act: Handle; readonly dGate: Handle; readonly dUp: Handle };
  /** loss: [M] nats, predicted: [M] i32, dHidden: [M, C] of the sum of losses. hidden: [M, C], head: [V, C], labels: [M] i32. softcap: of the logits. */
  crossEntropy(
    hidden: Handle,
    head: Handle,
    labels: Handle,
    softcap?: number,
  ): { readonly loss: Handle; readonly predicted: Handle; readonly dHidden: Handle };
  /** The same without dHidden. */
  crossEntropyForward(
    hidden: Handle,
    head: Handle,
    labels: Handle,
    softcap?: number,
  ): { readonly loss: Handle; readonly predicted: Handle };

  // The encoder's parts
  /** (x - mean(x)) / sqrt(var(x) + eps) * weight + bias. x: [N, C], weight, bias: [C] → [N, C] */
  layerNorm(x: Handle, weight: Handle, bias: Handle, eps: number): Handle;
  /** dx. dy, x: [N, C] → [N, C] */
  layerNormBackward(dy: Handle, x: Handle, weight: Handle, eps: number): Handle;
  /** x (1 + erf(x / sqrt 2)) / 2 */
  gelu(x: Handle): Handle;
  /** dx. dy, x: equal shapes */
  geluBackward(dy: Handle, x: Handle): Handle;
  tanh(x: Handle): Handle;
  /** dx from y = tanh(x). */
  tanhBackward(dy: Handle, y: Handle): Handle;
  /** Every query sees the first counts[b] keys of its sequence; q is scaled already. q, k, v: [B, H, T, D], counts: [B] i32 → [B, H, T, D] */
  paddedAttention(q: Handle, k: Handle, v: Handle, counts: Handle): Handle;
  /** Gradients with respect to (scaled) q, k, v. */
  paddedAttentionBackward(
    dOut: Handle,
    saved: { readonly q: Handle; readonly k: Handle; readonly v: Handle; readonly out: Handle },
    counts: Handle,
  ): { readonly dq: Handle; readonly dk: Handle; readonly dv: Handle };
  /** loss: [B] nats, predicted: [B] i32, dLogits: [B, n] of the sum of losses. logits: [B, n], labels: [B] i32. */
  classEntropy(logits: Handle, labels: Handle): { readonly loss: Handle; readonly predicted: Handle; readonly dLogits: Handle };
}
