import type { Int8Codes, Nf4Codes, Place } from '../quant/formats.js';
import { type Attribute, attribute } from '../runtime/binding.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import { mapWeights } from './map-weights.js';
import type { Activation, AttentionMask, HeadShape, RopeTable } from './ops.js';
import type { Precision, Product } from './product.js';
import { chunkRows } from './stock-cross-entropy.js';
import { StockOps } from './stock-ops.js';

const gated: Readonly<Record<Activation, readonly Attribute[]>> = {
  silu: [attribute.string('act', 'silu')],
  gelu_tanh: [attribute.string('act', 'gelu_tanh')],
};

const fewRows = 48;

const gradientAttributes = [attribute.int('transpose_a', 1), attribute.int('transpose_b', 0), attribute.string('precision', 'f32')];

/**
 * StockOps with the operators of packages/kernels where they exist: one pass over memory instead of five to ten, and attention that never
 * stores probabilities. Needs `loadKernels()` before. Results differ from StockOps by rounding only; each override has it as its twin in tests.
 */
export class FusedOps extends StockOps {
  readonly #none: Handle;
  readonly #everything: Handle;
  readonly #noBytes: Handle;
  readonly #headAttributes = new Map<string, readonly Attribute[]>();
  readonly #maskAttributes = new Map<string, readonly Attribute[]>();
  readonly #epsAttributes = new Map<number, readonly Attribute[]>();

  constructor(runtime: Runtime, precision?: Precision) {
    super(runtime, precision);
    this.#none = runtime.own(runtime.upload(new Float32Array(0), [0], 'f32'));
    this.#everything = runtime.own(runtime.upload(new Int32Array(0), [0], 'i32'));
    this.#noBytes = runtime.own(runtime.upload(new Uint8Array(0), [0], 'u8'));
  }

  protected override products(): Product {
    const { precision, runtime, o } = this;
    const attributesOf = (a: number, b: number) => [
      attribute.int('transpose_a', a),
      attribute.int('transpose_b', b),
      attribute.string('precision', precision),
    ];
    const attributes = { none: attributesOf(0, 0), a: attributesOf(1, 0), b: attributesOf(0, 1) };
    return (a, b, transposed) => {
      // A few rows are read once: packing the other operand would cost more than it saves.
      if (precision === 'f32' && (a.shape[transposed === 'a' ? 1 : 0] ?? 0) < fewRows) return o.matMul(a, b, transposed);
      return runtime.execute('RowsmithMatMul', [a, b], attributes[transposed ?? 'none']);
    };
  }

  /** In f32 whatever the precision: its result goes to the optimiser. However few rows: a row has the same bits whichever others are chosen. */
  override rowGradient(g: Handle, x: Handle): Handle {
    return this.runtime.execute('RowsmithMatMul', [g, x], gradientAttributes);
  }

  /** Of another type than f32: TensorFlow's own. */
  override gatherColumns(x: Handle, ids: Handle): Handle {
    return x.dtype === 'f32' ? this.runtime.execute('RowsmithGatherColumns', [x, ids]) : super.gatherColumns(x, ids);
  }

  override mapPrivately(path: string, offset: number, shape: readonly number[]): Handle | null {
    return mapWeights(this.runtime, path, offset, shape);
  }

  override adamwInPlace(state: readonly [delta: Handle, m: Handle, v: Handle], gradient: Handle, base: Handle, scalars: Handle): Handle {
    return this.runtime.execute('RowsmithAdamW', [...state, gradient, base, scalars]);
  }

  override quantiseNf4(w: Handle, block: number): Nf4Codes {
    const [codes, scales] = this.runtime.executeMany('RowsmithQuantizeNf4', [w], 2, [attribute.int('block', block)]);
    return { codes: codes as Handle, scales: scales as Handle };
  }
  override dequantiseNf4({ codes, scales, twice }: Nf4Codes, block: number, place: Place): Handle {
    const inputs = [codes, scales, twice?.codes ?? this.#noBytes, twice?.levels ?? this.#none];
    return this.#dequantised('RowsmithDequantizeNf4', inputs, place, [attribute.int('block', block)]);
  }
  override quantiseInt8(w: Handle): Int8Codes {
    const [codes, scales] = this.runtime.executeMany('RowsmithQuantizeInt8', [w], 2);
    return { codes: codes as Handle, scales: scales as Handle };
  }
  override dequantiseInt8({ codes, scales }: Int8Codes, place: Place): Handle {
    return this.#dequantised('RowsmithDequantizeInt8', [codes, scales], place, []);
  }
  #dequantised(op: string, inputs: readonly Handle[], { start, rows, columns }: Place, attributes: readonly Attribute[]): Handle {
    const { runtime } = this;
    return runtime.scope((keep) =>
      keep(runtime.execute(op, [...inputs, runtime.upload(Int32Array.of(start, rows, columns), [3], 'i32')], attributes)),
    );
  }

  override rmsNorm(x: Handle, weight: Handle, eps: number): Handle {
    return this.#norm(x, this.#none, weight, eps).normed;
  }
  override addRmsNorm(x: Handle, delta: Handle, weight: Handle, eps: number): { sum: Handle; normed: Handle } {
    return this.#norm(x, delta, weight, eps);
  }
  override rmsNormBackward(dy: Handle, x: Handle, weight: Handle, eps: number, residual?: Handle): { dx: Handle; normed: Handle } {
    const [dx, normed] = this.runtime.executeMany('RowsmithRmsNormGrad', [dy, x, weight, residual ?? this.#none], 2, this.#eps(eps));
    return { dx: dx as Handle, normed: normed as Handle };
  }

  override splitHeads(x: Handle, shape: HeadShape): Handle {
    return this.runtime.execute('RowsmithSplitHeads', [x, this.#none, this.#none], this.#heads(shape));
  }
  override mergeHeads(x: Handle, shape: HeadShape): Handle {
    return this.runtime.execute('RowsmithMergeHeads', [x, this.#none, this.#none], this.#heads(shape));
  }
  override splitHeadsRope(x: Handle, shape: HeadShape, { cos, sin, dim }: RopeTable): Handle {
    return this.runtime.execute('RowsmithSplitHeads', [x, cos, sin], this.#heads(shape, dim));
  }
  override splitHeadsRopeBackward(dy: Handle, shape: HeadShape, { cos, sin, dim }: RopeTable): Handle {
    return this.runtime.execute('RowsmithMergeHeads', [dy, cos, sin], this.#heads(shape, dim));
  }

  override causalAttention(q: Handle, k: Handle, v: Handle, _shape: HeadShape, mask: AttentionMask = {}): { out: Handle; lse: Handle } {
    const inputs = [q, k, v, mask.starts ?? this.#everything];
    const [out, lse] = this.runtime.executeMany('RowsmithAttention', inputs, 2, this.#masks(mask));
    return { out: out as Handle, lse: lse as Handle };
  }
  override causalAttentionForward(q: Handle, k: Handle, v: Handle, shape: HeadShape, mask?: AttentionMask): Handle {
    return this.runtime.scope((keep) => keep(this.causalAttention(q, k, v, shape, mask).out));
  }
  override causalAttentionBackward(
    dOut: Handle,
    { q, k, v, out, lse }: { q: Handle; k: Handle; v: Handle; out: Handle; lse: Handle },
    _shape: HeadShape,
    mask: AttentionMask = {},
  ): { dq: Handle; dk: Handle; dv: Handle } {
    const inputs = [q, k, v, mask.starts ?? this.#everything, out, lse, dOut];
    const [dq, dk, dv] = this.runtime.executeMany('RowsmithAttentionGrad', inputs, 3, this.#masks(mask));
    return { dq: dq as Handle, dk: dk as Handle, dv: dv as Handle };
  }

  override swiGlu(gate: Handle, up: Handle, activation: Activation = 'silu'): Handle {
    return this.runtime.execute('RowsmithSwiglu', [gate, up], gated[activation]);
  }
  override swiGluBackward(
    dAct: Handle,
    gate: Handle,
    up: Handle,
    activation: Activation = 'silu',
  ): { act: Handle; dGate: Handle; dUp: Handle } {
    const [act, dGate, dUp] = this.runtime.executeMany('RowsmithSwigluGrad', [dAct, gate, up], 3, gated[activation]);
    return { act: act as Handle, dGate: dGate as Handle, dUp: dUp as Handle };
  }

  override crossEntropy(
    hidden: Handle,
    head: Handle,
    labels: Handle,
    softcap?: number,
  ): { loss: Handle; predicted: Handle; dHidden: Handle } {
    const { loss, predicted, dHidden } = this.#entropy(hidden, head, labels, true, softcap);
    return { loss, predicted, dHidden: dHidden as Handle };
  }
  override crossEntropyForward(hidden: Handle, head: Handle, labels: Handle, softcap?: number): { loss: Handle; predicted: Handle } {
    const { loss, predicted } = this.#entropy(hidden, head, labels, false, softcap);
    return { loss, predicted };
  }

  /** The operator turns logits into their gradient in place: half the memory of the stock form, or twice the rows at a time. */
  #entropy(
    hidden: Handle,
    head: Handle,
    labels: Handle,
    backward: boolean,
    softcap = 0,
  ): { loss: Handle; predicted: Handle; dHidden?: Handle } {
    const capped = [attribute.float('softcap', softcap)];
    const { runtime, o, product } = this;
    const rows = hidden.shape[0] ?? 0;
    const step = 2 * chunkRows(head.shape[0] ?? 1);
    return runtime.scope((keep) => {
      const scale = runtime.literal(backward ? 1 : 0);
      const chunks = Array.from({ length: Math.ceil(rows / step) }, (_, i) => {
        const start = i * step;
        const count = Math.min(step, rows - start);
        return runtime.scope((keepChunk) => {
          const logits = product(o.slice(hidden, [start, 0], [count, -1]), head, 'b');
          const inputs = [logits, o.slice(labels, [start], [count]), scale];
          const [loss, predicted] = runtime.executeMany('RowsmithCrossEntropy', inputs, 2, capped);
          return {
            loss: keepChunk(loss as Handle),
            predicted: keepChunk(predicted as Handle),
            dHidden: backward ? [keepChunk(product(logits, head))] : [],
          };
        });
      });
      const joined = (parts: readonly Handle[]) => keep(o.concat(parts, 0));
      const loss = joined(chunks.map((chunk) => chunk.loss));
      const predicted = joined(chunks.map((chunk) => chunk.predicted));
      return backward ? { loss, predicted, dHidden: joined(chunks.flatMap((chunk) => chunk.dHidden)) } : { loss, predicted };
    });
  }

  #norm(x: Handle, delta: Handle, weight: Handle, eps: number): { sum: Handle; normed: Handle } {
    const [normed, sum] = this.runtime.executeMany('RowsmithRmsNorm', [x, delta, weight], 2, this.#eps(eps));
    return { normed: normed as Handle, sum: sum as Handle };
  }

  #eps(eps: number): readonly Attribute[] {
    const known = this.#epsAttributes.get(eps);
    if (known) return known;
    const attributes = [attribute.float('eps', eps)];
    this.#epsAttributes.set(eps, attributes);
    return attributes;
  }

  #masks({ window = 0, softcap = 0 }: AttentionMask): readonly Attribute[] {
    const key = `${window} ${softcap}`;
    let attributes = this.#maskAttributes.get(key);
    if (!attributes) {
      attributes = [attribute.int('window', window), attribute.float('softcap', softcap)];
      this.#maskAttributes.set(key, attributes);
    }
    return attributes;
  }

  #heads({ batch, heads, kvHeads, headDim }: HeadShape, rotary = headDim): readonly Attribute[] {
    const key = `${batch} ${heads} ${kvHeads} ${headDim} ${rotary}`;
    let attributes = this.#headAttributes.get(key);
    if (!attributes) {
      const sizes = { batch, heads, kv_heads: kvHeads, head_dim: headDim, rotary };
      attributes = Object.entries(sizes).map(([name, value]) => attribute.int(name, value));
      this.#headAttributes.set(key, attributes);
    }
    return attributes;
  }
}
