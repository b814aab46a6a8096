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
  const sum32 = Float32Array.from(sum);
  const rstd = Float64Array.from(
    { length: n },
    (_, i) => 1 / Math.sqrt(sum.subarray(i * c, (i + 1) * c).reduce((s, v) => s + v * v, 0) / c + eps),
  );
  const want = Float64Array.from(sum, (v, i) => v * at(rstd, Math.floor(i / c)) * at(gamma, i % c));

  test('forward with the addition, and without one', () => {
    const [y = none, s = none] = ops.call('RowsmithRmsNorm', { eps }, [host([n, c], x), host([n, c], residual), host([c], gamma)], 2);
    expect(worst(s, sum32)).toBeLessThan(1e-6);
    expect(worst(y, want)).toBeLessThan(2e-6);
    const [plain = none, nothing = none] = ops.call('RowsmithRmsNorm', { eps }, [host([n, c], sum32), empty, host([c], gamma)], 2);
    expect(nothing).toHaveLength(0);
    expect(plain).toEqual(y);
  });

  test('backward by the formula, with and without a residual, and the norm again', () => {
    const run = (more: typeof empty) =>
      ops.call('RowsmithRmsNormGrad', { eps }, [host([n, c], dy), host([n, c], sum32), host([c], gamma), more], 2);
    const gradient = Float64Array.from(dy, (_, i) => {
      const row = Math.floor(i / c);
      const s = at(rstd, row);
      let dot = 0;
      for (let j = 0; j < c; j += 1) dot += at(dy, row * c + j) * at(gamma, j) * at(sum, row * c + j);
      return s * (at(dy, i) * at(gamma, i % c) - (at(sum, i) * dot * s * s) / c);
    });
    const size = Math.max(1, ...gradient.map(Math.abs));
    const [dx = none, normed = none] = run(empty);
    expect(worst(dx, gradient) / size).toBeLessThan(5e-6);
    expect(worst(normed, want)).toBeLessThan(2e-6);
    const [with_ = none] = run(host([n, c], residual));
    expect(
      worst(
        with_,
        gradient.map((g, i) => g + at(residual, i)),
      ) / size,
    ).toBeLessThan(5e-6);
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
  ])('[%i, %i] forward, and backward against central differences', (n, width) => {
    const gate = values(n * width, 5).map((v) => v * 6);
    const up = values(n * width, 9).map((v) => v * 6);
    const dAct = values(n * width, 6);
    const shape = [n, width];
    const act64 = Float64Array.from(gate, (g, i) => f(g) * at(up, i));
    const [y = none] = ops.call('RowsmithSwiglu', { act }, [host(shape, gate), host(shape, up)], 1);
    expect(worst(y, act64)).toBeLessThan(1e-5);
    const [again = none, dGate = none, dUp = none] = ops.call(
      'RowsmithSwigluGrad',
      { act },
      [host(shape, dAct), host(shape, gate), host(shape, up)],
      3,
    );
    expect(again).toEqual(y);
    const h = 1e-4;
    expect(
      worst(dGate, gate.length ? Float64Array.from(gate, (g, i) => at(dAct, i) * at(up, i) * ((f(g + h) - f(g - h)) / (2 * h))) : []),
    ).toBeLessThan(2e-5);
    expect(
      worst(
        dUp,
        Float64Array.from(gate, (g, i) => at(dAct, i) * f(g)),
      ),
    ).toBeLessThan(1e-5);
  });
});

describe('heads and rotary embedding', () => {
  const [B, T, H, K, D] = [2, 5, 6, 2, 6];
  const G = H / K;
  const sizes = { batch: B, heads: H, kv_heads: K, head_dim: D };
  const angle = (t: number, d: number) => t * 10000 ** (-(2 * (d % (D / 2))) / D);
  const tableOf = (value: (t: number, d: number) => number) =>
    host(
      [T, G * D],
      Float32Array.from({ length: T * G * D }, (_, i) => value(Math.floor(i / (G * D)), i % D)),
    );
  const cos = tableOf((t, d) => Math.cos(angle(t, d)));
  const sin = tableOf((t, d) => (d < D / 2 ? -1 : 1) * Math.sin(angle(t, d)));
  const x = values(B * T * H * D, 7);

  test('turns pairs (d, d + D/2) by the angle of the position and moves heads to [B, K, T*G, D]', () => {
    const [y = none] = ops.call('RowsmithSplitHeads', sizes, [host([B * T, H * D], x), cos, sin], 1);
    const [plain = none] = ops.call('RowsmithSplitHeads', sizes, [host([B * T, H * D], x), empty, empty], 1);
    for (let b = 0; b < B; b += 1)
      for (let t = 0; t < T; t += 1)
        for (let h = 0; h < H; h += 1)
          for (let d = 0; d < D; d += 1) {
            const from = (b * T + t) * H * D + h * D;
            const to = ((b * K + Math.floor(h / G)) * T * G + t * G + (h % G)) * D + d;
            const partner = d < D / 2 ? -at(x, from + d + D / 2) : at(x, from + d - D / 2);
            expect(at(plain, to)).toBe(at(x, from + d));
            expect(at(y, to)).toBeCloseTo(at(x, from + d) * Math.cos(angle(t, d)) + partner * Math.sin(angle(t, d)), 5);
          }
  });

  test('the merge is the adjoint of the split, which for rotations is the inverse', () => {
    for (const [c, s] of [
      [cos, sin],
      [empty, empty],
    ] as const) {
      const [y = none] = ops.call('RowsmithSplitHeads', sizes, [host([B * T, H * D], x), c, s], 1);
      const [back = none] = ops.call('RowsmithMergeHeads', sizes, [host([B, K, T * G, D], y), c, s], 1);
      expect(worst(back, x)).toBeLessThan(5e-7);
    }
  });

  test('only the first `rotary` dimensions turn; the others are multiplied by cos', () => {
    const rotary = 4;
    const [y = none] = ops.call('RowsmithSplitHeads', { ...sizes, rotary }, [host([B * T, H * D], x), cos, sin], 1);
    for (let t = 0; t < T; t += 1)
      for (let h = 0; h < H; h += 1)
        for (let d = 0; d < D; d += 1) {
          const from = t * H * D + h * D;
          const to = (Math.floor(h / G) * T * G + t * G + (h % G)) * D + d;
          const column = (h % G) * D + d;
          const partner = d < rotary / 2 ? from + d + rotary / 2 : from + d - rotary / 2;
          const turned = d < rotary ? at(x, partner) * at(sin.data, t * G * D + column) : 0;
          expect(at(y, to)).toBeCloseTo(at(x, from + d) * at(cos.data, t * G * D + column) + turned, 6);
        }
  });

  test('sizes that do not fit are refused', () => {
    const run = () => ops.call('RowsmithSplitHeads', { ...sizes, heads: 5 }, [host([B * T, H * D], x), empty, empty], 1);
    expect(run).toThrow(/multiple of kv_heads/);
  });
});

describe('cross-entropy', () => {
  test.each([
    [1, 2],
    [3, 49],
    [7, 1000],
  ])('[%i, %i]: loss, prediction and gradient', (n, v) => {
    const logits = values(n * v, 8).map((x) => x * 8);
    const labels = Int32Array.from({ length: n }, (_, i) => (i * 31) % v);
    const run = (scale: number) =>
      ops.call('RowsmithCrossEntropy', {}, [host([n, v], logits), host([n], labels), host([1], new Float32Array([scale]))], 2, [0]);
    const [loss = none, predicted = none, d = none] = run(0.25);
    for (let i = 0; i < n; i += 1) {
      const row = logits.subarray(i * v, (i + 1) * v);
      const total = row.reduce((s, x) => s + Math.exp(x), 0);
      expect(at(loss, i)).toBeCloseTo(Math.log(total) - at(row, at(labels, i)), 4);
      expect(at(predicted, i)).toBe(row.indexOf(Math.max(...row)));
      for (let j = 0; j < v; j += 1) {
        const want = 0.25 * (Math.exp(at(row, j)) / total - (j === at(labels, i) ? 1 : 0));
        expect(Math.abs(at(d, i * v + j) - want)).toBeLessThan(2e-7);
      }
    }
  });

  test.each([
    [3, 49, 5],
    [2, 16, 30],
  ])('[%i, %i], logits capped at %i', (n, v, softcap) => {
    const logits = values(n * v, 9).map((x) => x * 12);
    const labels = Int32Array.from({ length: n }, (_, i) => (i * 31) % v);
    const inputs = (scale: number) => [host([n, v], logits), host([n], labels), host([1], new Float32Array([scale]))];
    const [loss = none, predicted = none, d = none] = ops.call('RowsmithCrossEntropy', { softcap }, inputs(0.5), 2, [0]);
    expect(ops.call('RowsmithCrossEntropy', { softcap }, inputs(0), 2)).toEqual([loss, predicted]);
    for (let i = 0; i < n; i += 1) {
      const row = Float64Array.from(logits.subarray(i * v, (i + 1) * v), (x) => softcap * Math.tanh(x / softcap));
      const total = row.reduce((sum, x) => sum + Math.exp(x), 0);
      expect(at(loss, i)).toBeCloseTo(Math.log(total) - at(row, at(labels, i)), 5);
      expect(at(predicted, i)).toBe(row.indexOf(Math.max(...row)));
      for (let j = 0; j < v; j += 1) {
        const slope = 1 - (at(row, j) / softcap) ** 2;
        const want = 0.5 * slope * (Math.exp(at(row, j)) / total - (j === at(labels, i) ? 1 : 0));
        expect(Math.abs(at(d, i * v + j) - want)).toBeLessThan(5e-7);
      }
    }
  });

  test('of equal logits the lower id wins', () => {
    const logits = host([1, 3], new Float32Array([1, 2, 2]));
    const [, predicted = none] = ops.call(
      'RowsmithCrossEntropy',
      {},
      [logits, host([1], new Int32Array([2])), host([1], new Float32Array([0]))],
      2,
    );
    expect(Array.from(predicted)).toEqual([1]);
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

test('columns of a matrix, repeated and out of order; an index beyond them is named', () => {
  const [x, ids] = [values(7 * 33, 8), Int32Array.of(32, 0, 5, 5, 1)];
  const want = Float32Array.from({ length: 7 * 5 }, (_, i) => at(x, Math.floor(i / 5) * 33 + at(ids, i % 5)));
  expect(ops.call('RowsmithGatherColumns', {}, [host([7, 33], x), host([5], ids)], 1)).toEqual([want]);
  expect(() => ops.call('RowsmithGatherColumns', {}, [host([7, 33], x), host([2], Int32Array.of(3, 33))], 1)).toThrow('ids[1] is 33');
});
