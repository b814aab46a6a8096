/** Against sums in double precision over the operands as they are, or rounded to bfloat16. Sizes are odd on purpose: every edge of a panel is met. */
import { beforeAll, describe, expect, test } from 'vitest';
import { host, type OpCaller, openOpCaller, values, worst } from './op-caller.js';

let ops: OpCaller;
beforeAll(async () => {
  ops = await openOpCaller();
});

/** To bfloat16, ties to even: as Intel's and Google's definitions have it. */
function bf16(x: number): number {
  const bits = new Uint32Array(Float32Array.of(x).buffer);
  const [word = 0] = bits;
  bits[0] = ((word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000) >>> 0;
  return new Float32Array(bits.buffer)[0] as number;
}

type Sizes = readonly [m: number, n: number, k: number];
const transposed = (rows: number, columns: number, x: Float32Array) =>
  Float32Array.from(x, (_, i) => x[(i % rows) * columns + Math.floor(i / rows)] as number);

function product([m, n, k]: Sizes, a: Float32Array, b: Float32Array): Float32Array {
  const c = new Float32Array(m * n);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let l = 0; l < k; l++) sum += (a[i * k + l] as number) * (b[l * n + j] as number);
      c[i * n + j] = sum;
    }
  return c;
}

function multiply(
  [m, n, k]: Sizes,
  a: Float32Array,
  b: Float32Array,
  precision: 'f32' | 'bf16',
  transpose: '' | 'a' | 'b' = '',
): Float32Array {
  const left = transpose === 'a' ? host([k, m], transposed(m, k, a)) : host([m, k], a);
  const right = transpose === 'b' ? host([n, k], transposed(k, n, b)) : host([k, n], b);
  const attributes = { transpose_a: Number(transpose === 'a'), transpose_b: Number(transpose === 'b'), precision };
  return ops.call('RowsmithMatMul', attributes, [left, right], 1)[0] as Float32Array;
}

describe.each<Sizes>([
  [1, 1, 1],
  [13, 33, 7],
  [12, 32, 384],
  [37, 65, 769],
  [121, 100, 1537],
  [5, 1600, 3],
  [2051, 3, 20],
])('[%i, %i] over %i', (...sizes) => {
  const [m, n, k] = sizes;
  const [a, b] = [values(m * k, 1), values(k * n, 2)];
  const exact = product(sizes, a, b);
  const rounded = product(sizes, a.map(bf16), b.map(bf16));
  test.each(['', 'a', 'b'] as const)('transposed: %s', (transpose) => {
    const most = 1.5e-6 * Math.sqrt(k) + 1e-7;
    expect(worst(multiply(sizes, a, b, 'f32', transpose), exact)).toBeLessThan(most);
    expect(worst(multiply(sizes, a, b, 'bf16', transpose), rounded)).toBeLessThan(most);
  });
});

test('long sums keep their digits', () => {
  const sizes: Sizes = [3, 5, 60_000];
  const [a, b] = [values(3 * 60_000, 3), values(5 * 60_000, 4)];
  expect(worst(multiply(sizes, a, b, 'f32'), product(sizes, a, b))).toBeLessThan(1e-4);
});

test('a row has the same bits whatever rows stand beside it', () => {
  const [a, b] = [values(100 * 500, 5), values(500 * 70, 6)];
  for (const precision of ['f32', 'bf16'] as const) {
    const all = multiply([100, 70, 500], a, b, precision);
    expect(multiply([1, 70, 500], a.slice(57 * 500, 58 * 500), b, precision)).toEqual(all.slice(57 * 70, 58 * 70));
  }
});

test('wrong sizes are refused by name, nothing leaks', () => {
  const before = ops.handles();
  expect(() =>
    ops.call(
      'RowsmithMatMul',
      { transpose_a: 0, transpose_b: 0, precision: 'f32' },
      [host([2, 3], values(6, 1)), host([2, 3], values(6, 2))],
      1,
    ),
  ).toThrow('inner sizes');
  expect(ops.handles()).toBe(before);
});
