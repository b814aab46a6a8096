import { beforeAll, describe, expect, test } from 'vitest';
import { host, type OpCaller, openOpCaller, values, worst } from './op-caller.js';

let ops: OpCaller;
beforeAll(async () => {
  ops = await openOpCaller();
});

interface Case {
  readonly B: number;
  readonly H: number;
  readonly K: number;
  readonly T: number;
  readonly D: number;
  readonly window: number;
  readonly softcap?: number;
  readonly starts: Int32Array;
}

/**
 * Softmax attention by definition, in double precision; gradients by the chain rule on full [T,T] matrices. q is scaled already.
 * Queries of head g of a kv group lie at rows t*G + g of [B, K, T*G, D].
 */
function reference(c: Case, q: Float32Array, k: Float32Array, v: Float32Array, dOut: Float32Array) {
  const { B, H, K, T, D } = c;
  const G = H / K;
  const o = new Float64Array(q.length);
  const lse = new Float64Array(q.length / D);
  const dq = new Float64Array(q.length);
  const dk = new Float64Array(k.length);
  const dv = new Float64Array(v.length);
  const at = (a: ArrayLike<number>, i: number) => a[i] ?? Number.NaN;
  for (let bk = 0; bk < B * K; bk += 1)
    for (let g = 0; g < G; g += 1) {
      const kv = bk * T * D;
      const b = Math.floor(bk / K);
      for (let i = 0; i < T; i += 1) {
        const row = (bk * T + i) * G + g;
        const first = c.starts.length === 0 ? 0 : at(c.starts, c.starts.length === T ? i : b * T + i);
        const from = Math.max(first, c.window > 0 ? i - c.window + 1 : 0);
        const p = new Float64Array(T);
        const slope = new Float64Array(T).fill(1);
        let total = 0;
        for (let j = from; j <= i; j += 1) {
          let s = 0;
          for (let d = 0; d < D; d += 1) s += at(q, row * D + d) * at(k, kv + j * D + d);
          if (c.softcap) {
            slope[j] = 1 - Math.tanh(s / c.softcap) ** 2;
            s = c.softcap * Math.tanh(s / c.softcap);
          }
          p[j] = Math.exp(s);
          total += at(p, j);
        }
        lse[row] = Math.log(total);
        let dot = 0;
        const dp = new Float64Array(T);
        for (let j = from; j <= i; j += 1) {
          p[j] = at(p, j) / total;
          for (let d = 0; d < D; d += 1) {
            o[row * D + d] = at(o, row * D + d) + at(p, j) * at(v, kv + j * D + d);
            dp[j] = at(dp, j) + at(dOut, row * D + d) * at(v, kv + j * D + d);
          }
          dot += at(p, j) * at(dp, j);
        }
        for (let j = from; j <= i; j += 1) {
          const ds = at(p, j) * (at(dp, j) - dot) * at(slope, j);
          for (let d = 0; d < D; d += 1) {
            dq[row * D + d] = at(dq, row * D + d) + ds * at(k, kv + j * D + d);
            dk[kv + j * D + d] = at(dk, kv + j * D + d) + ds * at(q, row * D + d);
            dv[kv + j * D + d] = at(dv, kv + j * D + d) + at(p, j) * at(dOut, row * D + d);
          }
        }
      }
    }
  return { o, lse, dq, dk, dv };
}

const none = new Int32Array(0);
/** Two sequences of 70 tokens, packed from examples of 30 + 40 and 64 + 6. */
const packed = Int32Array.from({ length: 140 }, (_, t) => (t < 70 ? (t < 30 ? 0 : 30) : t - 70 < 64 ? 0 : 64));

/** 130 tokens: examples of 40, 60 and 30, so that whole tiles of a block see nothing of the one before. */
const three = Int32Array.from({ length: 130 }, (_, t) => (t < 40 ? 0 : t < 100 ? 40 : 100));

describe('attention equals softmax attention by definition, forward and backward', () => {
  const cases: [string, Case][] = [
    ['one token', { B: 1, H: 1, K: 1, T: 1, D: 4, window: 0, starts: none }],
    ['one block, odd width', { B: 2, H: 3, K: 1, T: 37, D: 10, window: 0, starts: none }],
    ['exactly one block', { B: 1, H: 2, K: 2, T: 64, D: 64, window: 0, starts: none }],
    ['block and one', { B: 1, H: 4, K: 2, T: 65, D: 16, window: 0, starts: none }],
    ['three blocks, grouped heads', { B: 1, H: 9, K: 3, T: 150, D: 64, window: 0, starts: none }],
    ['wide heads', { B: 1, H: 2, K: 1, T: 70, D: 80, window: 0, starts: none }],
    ['sliding window', { B: 1, H: 2, K: 1, T: 200, D: 16, window: 50, starts: none }],
    ['packed examples', { B: 2, H: 2, K: 1, T: 70, D: 16, window: 0, starts: packed }],
    ['packed examples of many heads over three blocks', { B: 2, H: 8, K: 4, T: 130, D: 20, window: 0, starts: three }],
    ['the same packing of every sequence', { B: 2, H: 2, K: 1, T: 70, D: 16, window: 0, starts: packed.slice(0, 70) }],
    ['capped scores', { B: 1, H: 4, K: 2, T: 65, D: 16, window: 0, softcap: 1.5, starts: none }],
    ['capped scores of packed examples in a window', { B: 2, H: 2, K: 1, T: 70, D: 16, window: 20, softcap: 0.7, starts: packed }],
    ['packed examples in a window', { B: 2, H: 2, K: 1, T: 70, D: 16, window: 20, starts: packed }],
  ];
  test.each(cases)('%s', (_name, c) => {
    const { B, H, K, T, D } = c;
    const q = values(B * H * T * D, 1).map((x) => x / Math.sqrt(D));
    const k = values(B * K * T * D, 2);
    const v = values(B * K * T * D, 3);
    const dOut = values(B * H * T * D, 4);
    const attributes = { window: c.window, ...(c.softcap === undefined ? {} : { softcap: c.softcap }) };
    const queries = (data: Float32Array | Int32Array) => host([B, K, T * (H / K), D], data);
    const inputs = [queries(q), host([B, K, T, D], k), host([B, K, T, D], v), host([c.starts.length], c.starts)];
    const before = ops.handles();
    const [o = none, lse = none] = ops.call('RowsmithAttention', attributes, inputs, 2);
    const more = [queries(o), host([B, K, T * (H / K), 1], lse), queries(dOut)];
    const [dq = none, dk = none, dv = none] = ops.call('RowsmithAttentionGrad', attributes, [...inputs, ...more], 3);
    expect(ops.handles()).toBe(before);
    const want = reference(c, q, k, v, dOut);
    expect(worst(o, want.o)).toBeLessThan(2e-6);
    expect(worst(lse, want.lse)).toBeLessThan(5e-6);
    expect(worst(dq, want.dq)).toBeLessThan(5e-6);
    expect(worst(dk, want.dk)).toBeLessThan(5e-6);
    expect(worst(dv, want.dv)).toBeLessThan(1e-5);
  });
});

test('large scores stay finite', () => {
  const q = values(66 * 16, 1).map((x) => x * 300);
  const inputs = [host([1, 1, 66, 16], q), host([1, 1, 66, 16], q), host([1, 1, 66, 16], values(66 * 16, 2)), host([0], none)];
  const [o = none] = ops.call('RowsmithAttention', { window: 0 }, inputs, 2);
  expect(Array.from(o).every((x) => Number.isFinite(x) && Math.abs(x) <= 1)).toBe(true);
});

test.each([
  [-1, 0, 0],
  [0, 2, 0],
])('a first key outside [0, query] is refused: starts %i, %i, %i', (...starts) => {
  const x = host([1, 1, 3, 8], values(24, 1));
  const inputs = [x, x, x, host([3], Int32Array.from(starts))];
  expect(() => ops.call('RowsmithAttention', { window: 0 }, inputs, 2)).toThrow(/first key/);
});

test('shapes that do not fit are refused by name', () => {
  const q = host([1, 2, 6, 8], values(96, 1));
  const k = host([1, 2, 4, 8], values(64, 1));
  expect(() => ops.call('RowsmithAttention', { window: 0 }, [q, k, k, host([0], none)], 2)).toThrow(/whole number of queries/);
});
