import { loadKernels } from '@rowsmith/kernels';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Handle } from '../runtime/handle.js';
import { openRuntime } from '../runtime/open-runtime.js';
import { philox } from '../runtime/philox.js';
import { FusedOps } from './fused-ops.js';
import type { AttentionMask, HeadShape } from './ops.js';
import { chunkRows } from './stock-cross-entropy.js';
import { StockOps } from './stock-ops.js';

let ops: StockOps;
beforeAll(async () => {
  ops = new StockOps(await openRuntime());
});

const tensor = (values: readonly number[] | Float32Array, ...shape: number[]) =>
  ops.runtime.upload(Float32Array.from(values), shape, 'f32');
const ids = (...values: number[]) => ops.runtime.upload(Int32Array.from(values), [values.length], 'i32');
const read = (handle: Handle) => Array.from(ops.runtime.readF32(handle));
const random = (name: string, count: number) => philox(21, name, 0).fill(new Float32Array(count), -1, 1);

function expectClose(actual: readonly number[], expected: readonly number[], tolerance = 1e-6): void {
  expect(actual.length).toBe(expected.length);
  actual.forEach((value, i) => {
    expect(Math.abs(value - (expected[i] as number)), `element ${i}`).toBeLessThan(tolerance);
  });
}

/** Worked example of the row-sparse linear: W [3, 4], X [2, 4], G = dL/dY [2, 3], rows 0 and 2, update D (zero-sum by hand). */
const W = [1, -2, 3, 0, 0.5, 0.5, -0.5, 1, 2, 0, 1, -1];
const X = [1, 2, 0, -1, 0, 1, 1, 2];
const G = [1, 0, -1, 2, 1, 0];
const D = [0.1, 0, -0.2, 0.3, -0.1, 0.2, 0, 0.1];

describe('row-sparse linear', () => {
  it('merged rows: forward, input gradient and row gradient of the worked example', () => {
    ops.runtime.scope(() => {
      const w = tensor(W, 3, 4);
      const x = tensor(X, 2, 4);
      const g = tensor(G, 2, 3);
      const rows = ids(0, 2);
      expectClose(read(ops.linear(x, w)), [-3, 0.5, 3, 1, 2, -1]);
      ops.writeRows(w, rows, ops.add(ops.gatherRows(w, rows), tensor(D, 2, 4)));
      expectClose(read(w), [1.1, -2, 2.8, 0.3, 0.5, 0.5, -0.5, 1, 1.9, 0.2, 1, -0.9]);
      expectClose(read(ops.linear(x, w)), [-3.2, 0.5, 3.2, 1.4, 2, -0.6]);
      expectClose(read(ops.linearBackward(g, w)), [-0.8, -2.2, 1.8, 1.2, 2.7, -3.5, 5.1, 1.6]);
      expect(read(ops.rowGradient(ops.gatherColumns(g, rows), x))).toEqual([1, 4, 2, 3, -1, -2, 0, 1]);
    });
  });

  it('equals a LoRA with A = D, B = one-hot rows, scale 1: outputs and the gradient of A', () => {
    ops.runtime.scope(() => {
      const [n, out, width, rank] = [7, 9, 5, 3];
      const selected = [1, 4, 8];
      const w = tensor(random('w', out * width), out, width);
      const x = tensor(random('x', n * width), n, width);
      const g = tensor(random('g', n * out), n, out);
      const a = tensor(random('a', rank * width), rank, width);
      const b = new Float32Array(out * rank);
      selected.forEach((row, k) => {
        b[row * rank + k] = 1;
      });
      const bHandle = tensor(b, out, rank);
      const lora = read(ops.add(ops.linear(x, w), ops.linear(ops.linear(x, a), bHandle)));
      // dL/dA = (G B)^T X
      const loraGradient = read(ops.rowGradient(ops.linearBackward(g, bHandle), x));
      ops.writeRows(w, ids(...selected), ops.add(ops.gatherRows(w, ids(...selected)), a));
      expectClose(read(ops.linear(x, w)), lora, 2e-6);
      expectClose(read(ops.rowGradient(ops.gatherColumns(g, ids(...selected)), x)), loraGradient, 2e-6);
    });
  });
});

type MaskValues = Omit<AttentionMask, 'starts'> & { readonly starts?: readonly number[] };

/** Causal attention and its gradients by definition, in doubles; scaled queries; layouts of HeadShape. starts: [T] or [B*T]. */
function attentionByDefinition(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  dO: Float32Array,
  { batch, length: T, heads, kvHeads, headDim: D }: HeadShape,
  { window = 0, softcap, starts }: MaskValues = {},
) {
  const group = heads / kvHeads;
  const out = new Float64Array(q.length);
  const [dq, dk, dv] = [new Float64Array(q.length), new Float64Array(k.length), new Float64Array(v.length)];
  for (let head = 0; head < batch * kvHeads; head++) {
    for (let t = 0; t < T; t++) {
      for (let g = 0; g < group; g++) {
        const row = ((head * T + t) * group + g) * D;
        const at = (s: number) => (head * T + s) * D;
        const dot = (a: Float32Array, i: number, b: Float32Array, j: number) => {
          let sum = 0;
          for (let d = 0; d < D; d++) sum += (a[i + d] as number) * (b[j + d] as number);
          return sum;
        };
        const first = starts ? (starts[starts.length === T ? t : Math.floor(head / kvHeads) * T + t] as number) : 0;
        const visible = (s: number) => s >= first && (window === 0 || s > t - window);
        const raw = Array.from({ length: t + 1 }, (_, s) => dot(q, row, k, at(s)));
        const capped = raw.map((score) => (softcap ? softcap * Math.tanh(score / softcap) : score));
        const slopes = raw.map((score) => (softcap ? 1 - Math.tanh(score / softcap) ** 2 : 1));
        const scores = capped.map((score, s) => (visible(s) ? score : Number.NEGATIVE_INFINITY));
        const top = Math.max(...scores);
        const total = scores.reduce((sum, score) => sum + Math.exp(score - top), 0);
        const p = scores.map((score) => Math.exp(score - top) / total);
        const dp = p.map((_, s) => dot(dO, row, v, at(s)));
        const mean = p.reduce((sum, weight, s) => sum + weight * (dp[s] as number), 0);
        p.forEach((weight, s) => {
          const ds = weight * ((dp[s] as number) - mean) * (slopes[s] as number);
          for (let d = 0; d < D; d++) {
            out[row + d] = (out[row + d] as number) + weight * (v[at(s) + d] as number);
            dq[row + d] = (dq[row + d] as number) + ds * (k[at(s) + d] as number);
            dk[at(s) + d] = (dk[at(s) + d] as number) + ds * (q[row + d] as number);
            dv[at(s) + d] = (dv[at(s) + d] as number) + weight * (dO[row + d] as number);
          }
        });
      }
    }
  }
  return { out: Array.from(out), dq: Array.from(dq), dk: Array.from(dk), dv: Array.from(dv) };
}

describe('causal attention', () => {
  // Blocks are 64 up to 256 positions and 128 above: inside one block, at its edges, and not a multiple of it.
  it.each([1, 5, 63, 64, 65, 128, 150, 257, 300])('of %i positions equals its definition, forward and backward', (length) => {
    const shape: HeadShape = { batch: 2, length, heads: 6, kvHeads: 2, headDim: 4 };
    const [queries, keys] = [2 * 6 * length * 4, 2 * 2 * length * 4];
    const q = random('q', queries).map((value) => value * 3);
    const [k, v, dO] = [random('k', keys), random('v', keys), random('dO', queries)];
    const expected = attentionByDefinition(q, k, v, dO, shape);
    ops.runtime.scope(() => {
      const [hq, hk, hv] = [tensor(q, 2, 2, length * 3, 4), tensor(k, 2, 2, length, 4), tensor(v, 2, 2, length, 4)];
      const { out, lse } = ops.causalAttention(hq, hk, hv, shape);
      expectClose(read(out), expected.out, 3e-6);
      expectClose(read(ops.causalAttentionForward(hq, hk, hv, shape)), expected.out, 3e-6);
      const { dq, dk, dv } = ops.causalAttentionBackward(tensor(dO, 2, 2, length * 3, 4), { q: hq, k: hk, v: hv, out, lse }, shape);
      const tolerance = 2e-6 * length + 1e-5;
      expectClose(read(dq), expected.dq, tolerance);
      expectClose(read(dk), expected.dk, tolerance);
      expectClose(read(dv), expected.dv, tolerance);
    });
  });
});

describe('masked attention', () => {
  /** Packed examples of these lengths, one after the other: the first position of each token's example. */
  const packed = (...lengths: number[]) => {
    let start = 0;
    return lengths.flatMap((length) => {
      const firsts = new Array<number>(length).fill(start);
      start += length;
      return firsts;
    });
  };
  const cases: [string, number, MaskValues][] = [
    ['window of 1', 7, { window: 1 }],
    ['window', 70, { window: 9 }],
    ['window wider than a block', 150, { window: 67 }],
    ['window wider than the sequence', 20, { window: 64 }],
    ['cap', 70, { softcap: 1.5 }],
    ['examples packed alike in both sequences', 70, { starts: packed(3, 62, 1, 4) }],
    ['examples packed differently', 70, { starts: [...packed(70), ...packed(64, 6)] }],
    ['all at once', 133, { window: 21, softcap: 0.8, starts: [...packed(1, 100, 32), ...packed(66, 67)] }],
  ];
  it.each(cases)('%s, %i positions: equals its definition, stock and fused', async (_, length, mask) => {
    const shape: HeadShape = { batch: 2, length, heads: 6, kvHeads: 2, headDim: 4 };
    const [queries, keys] = [2 * 6 * length * 4, 2 * 2 * length * 4];
    const q = random('q', queries).map((value) => value * 3);
    const [k, v, dO] = [random('k', keys), random('v', keys), random('dO', queries)];
    const expected = attentionByDefinition(q, k, v, dO, shape, mask);
    expect((await loadKernels()).loaded).toBe(true);
    for (const each of [ops, new FusedOps(ops.runtime)]) {
      let before = 0;
      for (const round of [0, 1]) {
        ops.runtime.scope(() => {
          const { starts, ...rest } = mask;
          const shapeOfStarts = starts?.length === length ? [length] : [2, length];
          const given = starts ? { ...rest, starts: ops.runtime.upload(Int32Array.from(starts), shapeOfStarts, 'i32') } : rest;
          const [hq, hk, hv] = [tensor(q, 2, 2, length * 3, 4), tensor(k, 2, 2, length, 4), tensor(v, 2, 2, length, 4)];
          const { out, lse } = each.causalAttention(hq, hk, hv, shape, given);
          expectClose(read(out), expected.out, 3e-6);
          expectClose(read(each.causalAttentionForward(hq, hk, hv, shape, given)), expected.out, 3e-6);
          const saved = { q: hq, k: hk, v: hv, out, lse };
          const { dq, dk, dv } = each.causalAttentionBackward(tensor(dO, 2, 2, length * 3, 4), saved, shape, given);
          const tolerance = 2e-6 * length + 1e-5;
          expectClose(read(dq), expected.dq, tolerance);
          expectClose(read(dk), expected.dk, tolerance);
          expectClose(read(dv), expected.dv, tolerance);
        });
        // The first round makes a mask and a few literals, the second nothing.
        if (round === 0) before = ops.runtime.handleCount;
      }
      expect(ops.runtime.handleCount).toBe(before);
    }
  });
});

describe('cross-entropy', () => {
  it('of more rows than a chunk equals its definition', () => {
    const [vocabulary, width] = [400_003, 3];
    const rows = chunkRows(vocabulary) * 2 + 5;
    const hidden = random('hidden', rows * width);
    const head = random('head', vocabulary * width);
    const labels = Array.from({ length: rows }, (_, i) => (i * 7919) % vocabulary);
    ops.runtime.scope(() => {
      const result = ops.crossEntropy(tensor(hidden, rows, width), tensor(head, vocabulary, width), ids(...labels));
      const [loss, gradient] = [read(result.loss), read(result.dHidden)];
      const predicted = ops.runtime.readI32(result.predicted);
      for (const row of [0, chunkRows(vocabulary) - 1, chunkRows(vocabulary), rows - 1]) {
        const h = hidden.subarray(row * width, (row + 1) * width);
        const logits = Float64Array.from({ length: vocabulary }, (_, id) =>
          h.reduce((sum, value, i) => sum + value * (head[id * width + i] as number), 0),
        );
        const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
        const label = labels[row] as number;
        expect(Math.abs((loss[row] as number) - (Math.log(sum) - (logits[label] as number)))).toBeLessThan(1e-5);
        expect(logits[predicted[row] as number]).toBeCloseTo(
          logits.reduce((a, b) => Math.max(a, b)),
          6,
        );
        const expected = Array.from(
          h,
          (_, i) =>
            logits.reduce((total, logit, id) => total + (Math.exp(logit) / sum) * (head[id * width + i] as number), 0) -
            (head[label * width + i] as number),
        );
        expectClose(gradient.slice(row * width, (row + 1) * width), expected, 1e-5);
      }
    });
  });
});
