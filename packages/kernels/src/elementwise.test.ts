import { beforeAll, describe, expect, test } from 'vitest';
import { empty, host, type OpCaller, openOpCaller, values, worst } from './op-caller.js';

let ops: OpCaller;
beforeAll(async () => {
  ops = await openOpCaller();
});
const none = new Float32Array(0);
const at = (a: ArrayLike<number>, i: number) => a[i] ?? Number.NaN;

describe.each([
  [1, 1],
  [3, 17],
  [65, 576],
])('RMSNorm on [%i, %i]', (n, c) => {
  const x = values(n * c, 1);
  const residual = values(n * c, 2);
  const gamma = values(c, 3);
  const dy = values(n * c, 4);
  const eps = 1e-5;
  const sum = Float64Array.from(x, (v, i) => v + at(residual, i));
  const rstd = Float64Array.from(
    { length: n },
    (_, i) => 1 / Math.sqrt(sum.subarray(i * c, (i + 1) * c).reduce((s, v) => s + v * v, 0) / c + eps),
  );

  test('forward with the residual, and without one', () => {
    const [y = none, s = none, r = none] = ops.call(
      'RowsmithRmsNorm',
      { eps },
      [host([n, c], x), host([n, c], residual), host([c], gamma)],
      3,
    );
    expect(worst(s, Float32Array.from(sum))).toBeLessThan(1e-6);
    expect(worst(r, rstd) / Math.max(...rstd)).toBeLessThan(1e-6);
    expect(
      worst(
        y,
        Float64Array.from(sum, (v, i) => v * at(rstd, Math.floor(i / c)) * at(gamma, i % c)),
      ),
    ).toBeLessThan(2e-6);
    const [plain = none, nothing = none] = ops.call(
      'RowsmithRmsNorm',
      { eps },
      [host([n, c], Float32Array.from(sum)), empty, host([c], gamma)],
      3,
    );
    expect(nothing).toHaveLength(0);
    expect(plain).toEqual(y);
  });

  test('backward by the formula', () => {
    const inputs = [
      host([n, c], dy),
      host([n, c], Float32Array.from(sum)),
      host([c], gamma),
      host([n], Float32Array.from(rstd)),
      host([n, c], residual),
    ];
    const [dx = none] = ops.call('RowsmithRmsNormGrad', {}, inputs, 1);
    const want = Float64Array.from(dy, (_, i) => {
      const row = Math.floor(i / c);
      const s = at(rstd, row);
      let dot = 0;
      for (let j = 0; j < c; j += 1) dot += at(dy, row * c + j) * at(gamma, j) * at(sum, row * c + j);
      return s * (at(dy, i) * at(gamma, i % c) - (at(sum, i) * dot * s * s) / c) + at(residual, i);
    });
    expect(worst(dx, want) / Math.max(1, ...want.map(Math.abs))).toBeLessThan(5e-6);
  });
});

const silu = (x: number) => x / (1 + Math.exp(-x));
const gelu = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
describe.each([
  ['silu', silu],
  ['gelu_tanh', gelu],
] as const)('gated activation %s', (act, f) => {
  test.each([
    [1, 1],
    [5, 19],
    [33, 96],
  ])('[%i, 2 x %i] forward, and backward against central differences', (n, width) => {
    const gateUp = values(n * 2 * width, 5).map((v) => v * 6);
    const dy = values(n * width, 6);
    const [y = none] = ops.call('RowsmithSwiglu', { act }, [host([n, 2 * width], gateUp)], 1);
    const gate = (i: number) => at(gateUp, Math.floor(i / width) * 2 * width + (i % width));
    const up = (i: number) => at(gateUp, Math.floor(i / width) * 2 * width + width + (i % width));
    expect(
      worst(
        y,
        Float64Array.from(dy, (_, i) => f(gate(i)) * up(i)),
      ),
    ).toBeLessThan(1e-5);
    const [d = none] = ops.call('RowsmithSwigluGrad', { act }, [host([n, width], dy), host([n, 2 * width], gateUp)], 1);
    const h = 1e-4;
    const want = Float64Array.from(gateUp, (_, k) => {
      const row = Math.floor(k / (2 * width));
      const i = row * width + (k % width);
      const isUp = k % (2 * width) >= width;
      return at(dy, i) * (isUp ? f(gate(i)) : ((f(gate(i) + h) - f(gate(i) - h)) / (2 * h)) * up(i));
    });
    expect(worst(d, want)).toBeLessThan(2e-5);
  });
});

describe('rotary embedding', () => {
  const [B, T, H, K, D] = [2, 5, 3, 1, 6];
  const rows = H + 2 * K;
  const angle = Float64Array.from({ length: T * (D / 2) }, (_, i) => Math.floor(i / (D / 2)) * 10000 ** (-(2 * (i % (D / 2))) / D));
  const cos = host([T, D / 2], Float32Array.from(angle, Math.cos));
  const sin = host([T, D / 2], Float32Array.from(angle, Math.sin));
  const qkv = values(B * T * rows * D, 7);

  test('turns pairs (d, d + D/2) by the angle of the position, splits heads, leaves v alone', () => {
    const [q = none, k = none, v = none] = ops.call(
      'RowsmithRopeSplit',
      { batch: B, heads: H, kv_heads: K },
      [host([B * T, rows * D], qkv), cos, sin],
      3,
    );
    const turned = (b: number, t: number, head: number, d: number) => {
      const base = ((b * T + t) * rows + head) * D;
      const a = at(angle, t * (D / 2) + (d % (D / 2)));
      return d < D / 2
        ? at(qkv, base + d) * Math.cos(a) - at(qkv, base + d + D / 2) * Math.sin(a)
        : at(qkv, base + d) * Math.cos(a) + at(qkv, base + d - D / 2) * Math.sin(a);
    };
    for (let b = 0; b < B; b += 1)
      for (let t = 0; t < T; t += 1)
        for (let d = 0; d < D; d += 1) {
          for (let h = 0; h < H; h += 1) expect(at(q, ((b * H + h) * T + t) * D + d)).toBeCloseTo(turned(b, t, h, d), 5);
          expect(at(k, (b * T + t) * D + d)).toBeCloseTo(turned(b, t, H, d), 5);
          expect(at(v, (b * T + t) * D + d)).toBe(at(qkv, ((b * T + t) * rows + H + K) * D + d));
        }
  });

  test('the merge is the inverse: split, then merge, gives the rows back', () => {
    const [q = none, k = none, v = none] = ops.call(
      'RowsmithRopeSplit',
      { batch: B, heads: H, kv_heads: K },
      [host([B * T, rows * D], qkv), cos, sin],
      3,
    );
    const [back = none] = ops.call(
      'RowsmithRopeMerge',
      {},
      [host([B, H, T, D], q), host([B, K, T, D], k), host([B, K, T, D], v), cos, sin],
      1,
    );
    expect(worst(back, qkv)).toBeLessThan(5e-7);
  });
});

describe('cross-entropy', () => {
  test.each([
    [1, 2],
    [3, 49],
    [7, 1000],
  ])('[%i, %i]: loss, hits and gradient', (n, v) => {
    const logits = values(n * v, 8).map((x) => x * 8);
    const labels = Int32Array.from({ length: n }, (_, i) => (i * 31) % v);
    const run = (scale: number) =>
      ops.call('RowsmithCrossEntropy', {}, [host([n, v], logits), host([n], labels), host([1], new Float32Array([scale]))], 2, [0]);
    const [loss = none, correct = none, d = none] = run(0.25);
    for (let i = 0; i < n; i += 1) {
      const row = logits.subarray(i * v, (i + 1) * v);
      const total = row.reduce((s, x) => s + Math.exp(x), 0);
      expect(at(loss, i)).toBeCloseTo(Math.log(total) - at(row, at(labels, i)), 4);
      expect(at(correct, i)).toBe(row.indexOf(Math.max(...row)) === at(labels, i) ? 1 : 0);
      for (let j = 0; j < v; j += 1) {
        const want = 0.25 * (Math.exp(at(row, j)) / total - (j === at(labels, i) ? 1 : 0));
        expect(Math.abs(at(d, i * v + j) - want)).toBeLessThan(2e-7);
      }
    }
  });

  test('of equal logits the lower id wins', () => {
    const hits = (label: number) =>
      ops.call(
        'RowsmithCrossEntropy',
        {},
        [host([1, 3], new Float32Array([1, 2, 2])), host([1], new Int32Array([label])), host([1], new Float32Array([0]))],
        2,
      )[1];
    expect([hits(0), hits(1), hits(2)].map((c) => at(c ?? none, 0))).toEqual([0, 1, 0]);
  });

  test('a label outside the vocabulary is refused, not read', () => {
    const run = () =>
      ops.call(
        'RowsmithCrossEntropy',
        {},
        [host([1, 3], values(3, 1)), host([1], new Int32Array([3])), host([1], new Float32Array([1]))],
        2,
      );
    expect(run).toThrow(/outside the vocabulary/);
  });
});
