import type { Int8Codes, Nf4Codes, Place } from '../quant/formats.js';
import { dequantiseInt8, dequantiseNf4, quantiseInt8, quantiseNf4 } from '../quant/stock-quantise.js';
import { attribute } from '../runtime/binding.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import { Operators } from './operators.js';
import type { Activation, AttentionMask, HeadShape, Ops, RopeTable, RopeTableOptions } from './ops.js';
import { type Precision, type Product, roundedProduct } from './product.js';
import { StockAttention } from './stock-attention.js';
import { crossEntropy } from './stock-cross-entropy.js';
import {
  classEntropy,
  gelu,
  geluBackward,
  layerNorm,
  layerNormBackward,
  paddedAttention,
  paddedAttentionBackward,
  tanhBackward,
} from './stock-encoder.js';
import { rmsNorm, rmsNormBackward } from './stock-norm.js';
import { mergeHeads, ropeTable, splitHeads, splitHeadsRope, splitHeadsRopeBackward } from './stock-rope.js';
import { swiGlu, swiGluBackward } from './stock-swiglu.js';
import type { Weight } from './weight.js';

const uniformF32 = [attribute.dtype('dtype', 'f32')];

/**
 * Every function composed of stock TensorFlow operators: works on each device, and is what fused kernels are tested against. Long because it is the list
 * of all functions; what takes more than a few operators is in a file of its own.
 */
export class StockOps implements Ops {
  protected readonly o: Operators;
  readonly #attention: StockAttention;
  /** Of linears and of the vocabulary: what `precision` speaks of. */
  protected readonly product: Product;

  constructor(
    readonly runtime: Runtime,
    readonly precision: Precision = 'f32',
  ) {
    this.o = new Operators(runtime);
    this.product = this.products();
    this.#attention = new StockAttention(this.o);
  }

  /**
   * Part of a file as a tensor that may be written to: frozen pages are the page cache's, shared by all jobs; written rows are this process's own and
   * never reach the file. null: this device has no such operator, or the place is not page-aligned; read the bytes then.
   */
  mapPrivately(_path: string, _offset: number, _shape: readonly number[]): Handle | null {
    return null;
  }
  /**
   * One AdamW step on D, m and v [R, width] in their own memory; base + D, new. scalars [10]: rate, b1, b2, eps, decay, 1 - b1^t, 1 - b2^t, factor of the
   * gradient, 1 - b1, 1 - b2. null: this device has no such operator.
   */
  adamwInPlace(_state: readonly [delta: Handle, m: Handle, v: Handle], _gradient: Handle, _base: Handle, _scalars: Handle): Handle | null {
    return null;
  }
  zeros(shape: readonly number[]): Handle {
    return this.#scoped(() => this.runtime.execute('Fill', [this.o.sizes(shape), this.runtime.literal(0)]));
  }
  reshape(x: Handle, shape: readonly number[]): Handle {
    return this.#scoped(() => this.o.reshape(x, shape));
  }
  copy(x: Handle): Handle {
    return this.o.unary('DeepCopy', x);
  }
  sliceRows(x: Handle, start: number, count: number): Handle;
  sliceRows(x: Weight, start: number, count: number): Weight;
  sliceRows(x: Weight, start: number, count: number): Weight {
    if (!('id' in x)) return x.rows(start, count);
    const rest = x.shape.slice(1);
    return this.#scoped(() => this.o.slice(x, [start, ...rest.map(() => 0)], [count, ...rest]));
  }
  concatRows(parts: readonly Handle[]): Handle {
    return this.o.concat(parts, 0);
  }
  concatColumns(parts: readonly Handle[]): Handle {
    return this.o.concat(parts, -1);
  }
  gatherRows(x: Handle, ids: Handle): Handle {
    return this.o.gather(x, ids, 0);
  }
  gatherColumns(x: Handle, ids: Handle): Handle {
    return this.o.gather(x, ids, 1);
  }
  sliceColumns(x: Handle, start: number, count: number): Handle {
    return this.#scoped(() => this.o.slice(x, [0, start], [x.shape[0] ?? 0, count]));
  }
  scatterRows(rows: Handle, ids: Handle, count: number): Handle {
    return this.#scoped(() => {
      const [n = 0, ...rest] = rows.shape;
      return this.runtime.execute('ScatterNd', [this.o.reshape(ids, [n, 1]), rows, this.o.sizes([count, ...rest])]);
    });
  }
  writeRows(x: Handle, ids: Handle, rows: Handle): void {
    this.runtime.release(this.runtime.execute('InplaceUpdate', [x, ids, rows]));
  }
  writeElements(x: Handle, ids: Handle, values: Handle): void {
    // A reshape shares its argument's memory, so this writes into x.
    this.runtime.scope(() => this.writeRows(this.o.reshape(x, [-1]), ids, this.o.reshape(values, [-1])));
  }

  dropoutMask(shape: readonly number[], rate: number, key: readonly [number, number] | Handle): Handle {
    return this.#scoped(() => {
      // TensorFlow's stateless generator is a counter-based Philox: the same numbers with any number of threads.
      const words = 'id' in key ? key : this.runtime.upload(Int32Array.from(key), [2], 'i32');
      const uniform = this.runtime.execute('StatelessRandomUniform', [this.o.sizes(shape), words], uniformF32);
      const kept = this.o.cast(this.o.binary('Less', this.runtime.upload(Float32Array.of(rate), [], 'f32'), uniform), 'f32');
      return this.scale(kept, 1 / (1 - rate));
    });
  }

  add(a: Handle, b: Handle): Handle {
    return this.o.binary('AddV2', a, b);
  }
  subtract(a: Handle, b: Handle): Handle {
    return this.o.binary('Sub', a, b);
  }
  multiply(a: Handle, b: Handle): Handle {
    return this.o.binary('Mul', a, b);
  }
  divide(a: Handle, b: Handle): Handle {
    return this.o.binary('RealDiv', a, b);
  }
  scale(x: Handle, factor: number): Handle {
    return this.#scoped(() => this.o.binary('Mul', x, this.runtime.upload(Float32Array.of(factor), [], 'f32')));
  }
  addAll(parts: readonly Handle[]): Handle {
    return this.o.addN(parts);
  }
  abs(x: Handle): Handle {
    return this.o.unary('Abs', x);
  }
  square(x: Handle): Handle {
    return this.o.unary('Square', x);
  }
  sqrt(x: Handle): Handle {
    return this.o.unary('Sqrt', x);
  }

  softcap(x: Handle, cap: number): Handle {
    return this.#scoped(() => this.scale(this.o.unary('Tanh', this.scale(x, 1 / cap)), cap));
  }

  sumAll(x: Handle): Handle {
    return this.o.reduce('Sum', x, ...x.shape.keys());
  }
  sumColumns(x: Handle): Handle {
    return this.o.reduce('Sum', x, 1);
  }
  sumRows(x: Handle): Handle {
    return this.o.reduce('Sum', x, 0);
  }
  argMax(x: Handle): Handle {
    return this.o.argMax(x);
  }

  protected products(): Product {
    return this.precision === 'bf16' ? roundedProduct(this.o) : (a, b, transposed) => this.o.matMul(a, b, transposed);
  }
  linear(x: Handle, w: Weight): Handle {
    if (!('id' in w)) return this.#scoped(() => this.product(x, w.materialise(), 'b'));
    return this.product(x, w, 'b');
  }
  linearBackward(g: Handle, w: Weight): Handle {
    if (!('id' in w)) return this.#scoped(() => this.product(g, w.materialise()));
    return this.product(g, w);
  }
  rowGradient(g: Handle, x: Handle): Handle {
    return this.o.matMul(g, x, 'a');
  }

  quantiseNf4(w: Handle, block: number): Nf4Codes {
    return quantiseNf4(this.o, w, block);
  }
  dequantiseNf4(codes: Nf4Codes, block: number, place: Place): Handle {
    return dequantiseNf4(this.o, codes, block, place);
  }
  quantiseInt8(w: Handle): Int8Codes {
    return quantiseInt8(this.o, w);
  }
  roundBf16(w: Handle): Handle {
    return this.o.cast(w, 'bf16');
  }
  widenBf16(w: Handle, { start, rows, columns }: Place): Handle {
    return this.#scoped(() => this.o.cast(this.o.slice(w, [start, 0], [rows, columns]), 'f32'));
  }
  dequantiseInt8(codes: Int8Codes, place: Place): Handle {
    return dequantiseInt8(this.o, codes, place);
  }

  rmsNorm(x: Handle, weight: Handle, eps: number): Handle {
    return rmsNorm(this.o, x, weight, eps);
  }
  addRmsNorm(x: Handle, delta: Handle, weight: Handle, eps: number): { sum: Handle; normed: Handle } {
    const sum = this.o.binary('AddV2', x, delta);
    return { sum, normed: rmsNorm(this.o, sum, weight, eps) };
  }
  rmsNormBackward(dy: Handle, x: Handle, weight: Handle, eps: number, residual?: Handle): { dx: Handle; normed: Handle } {
    return rmsNormBackward(this.o, dy, x, weight, eps, residual);
  }
  ropeTable(length: number, options: RopeTableOptions): RopeTable {
    return ropeTable(this.o, length, options);
  }
  ropeRows({ cos, sin, dim }: RopeTable, start: number, count: number): RopeTable {
    return { cos: this.sliceRows(cos, start, count), sin: this.sliceRows(sin, start, count), dim };
  }
  splitHeadsRope(x: Handle, shape: HeadShape, table: RopeTable): Handle {
    return splitHeadsRope(this.o, x, shape, table);
  }
  splitHeadsRopeBackward(dy: Handle, shape: HeadShape, table: RopeTable): Handle {
    return splitHeadsRopeBackward(this.o, dy, shape, table);
  }
  splitHeads(x: Handle, shape: HeadShape): Handle {
    return splitHeads(this.o, x, shape);
  }
  mergeHeads(x: Handle, shape: HeadShape): Handle {
    return mergeHeads(this.o, x, shape);
  }
  causalAttention(q: Handle, k: Handle, v: Handle, shape: HeadShape, mask?: AttentionMask): { out: Handle; lse: Handle } {
    const { out, lse } = this.#attention.forward(q, k, v, shape, true, mask);
    return { out, lse: lse as Handle };
  }
  causalAttentionForward(q: Handle, k: Handle, v: Handle, shape: HeadShape, mask?: AttentionMask): Handle {
    return this.#attention.forward(q, k, v, shape, false, mask).out;
  }
  fullAttention(q: Handle, k: Handle, v: Handle, softcap?: number): Handle {
    return this.#scoped(() => {
      const scores = this.o.batchMatMul(q, k, 'y');
      return this.o.batchMatMul(this.o.unary('Softmax', softcap ? this.softcap(scores, softcap) : scores), v);
    });
  }
  causalAttentionBackward(
    dOut: Handle,
    saved: { q: Handle; k: Handle; v: Handle; out: Handle; lse: Handle },
    shape: HeadShape,
    mask?: AttentionMask,
  ): { dq: Handle; dk: Handle; dv: Handle } {
    return this.#attention.backward(dOut, saved, shape, mask);
  }
  appendSequence(past: Handle, next: Handle): Handle {
    return this.o.concat([past, next], 2);
  }
  sliceSequence(x: Handle, start: number, count: number): Handle {
    return this.#scoped(() => this.o.slice(x, [0, 0, start, 0], [-1, -1, count, -1]));
  }
  swiGlu(gate: Handle, up: Handle, activation: Activation = 'silu'): Handle {
    return swiGlu(this.o, gate, up, activation);
  }
  swiGluBackward(dAct: Handle, gate: Handle, up: Handle, activation: Activation = 'silu'): { act: Handle; dGate: Handle; dUp: Handle } {
    return swiGluBackward(this.o, dAct, gate, up, activation);
  }
  crossEntropy(hidden: Handle, head: Handle, labels: Handle, softcap?: number): { loss: Handle; predicted: Handle; dHidden: Handle } {
    const { loss, predicted, dHidden } = crossEntropy(this.o, this.product, hidden, head, labels, true, softcap);
    return { loss, predicted, dHidden: dHidden as Handle };
  }
  crossEntropyForward(hidden: Handle, head: Handle, labels: Handle, softcap?: number): { loss: Handle; predicted: Handle } {
    return crossEntropy(this.o, this.product, hidden, head, labels, false, softcap);
  }

  layerNorm(x: Handle, weight: Handle, bias: Handle, eps: number): Handle {
    return layerNorm(this.o, x, weight, bias, eps);
  }
  layerNormBackward(dy: Handle, x: Handle, weight: Handle, eps: number): Handle {
    return layerNormBackward(this.o, dy, x, weight, eps);
  }
  gelu(x: Handle): Handle {
    return gelu(this.o, x);
  }
  geluBackward(dy: Handle, x: Handle): Handle {
    return geluBackward(this.o, dy, x);
  }
  tanh(x: Handle): Handle {
    return this.o.unary('Tanh', x);
  }
  tanhBackward(dy: Handle, y: Handle): Handle {
    return tanhBackward(this.o, dy, y);
  }
  paddedAttention(q: Handle, k: Handle, v: Handle, counts: Handle): Handle {
    return paddedAttention(this.o, q, k, v, counts);
  }
  paddedAttentionBackward(
    dOut: Handle,
    saved: { q: Handle; k: Handle; v: Handle; out: Handle },
    counts: Handle,
  ): { dq: Handle; dk: Handle; dv: Handle } {
    return paddedAttentionBackward(this.o, dOut, saved, counts);
  }
  classEntropy(logits: Handle, labels: Handle): { loss: Handle; predicted: Handle; dLogits: Handle } {
    return classEntropy(this.o, logits, labels);
  }

  #scoped(body: () => Handle): Handle {
    return this.runtime.scope((keep) => keep(body()));
  }
}
