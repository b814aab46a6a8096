/** Columns of one linear, on the operators alone: by hand, and as LoRA. Data of the 3 x 4 row test. */
import { beforeAll, expect, it } from 'vitest';
import { StockOps } from '../ops/stock-ops.js';
import { withCrossings } from '../optim/crossings.js';
import { openRuntime } from '../runtime/open-runtime.js';
import { philox } from '../runtime/philox.js';

let ops: StockOps;
beforeAll(async () => {
  ops = new StockOps(await openRuntime());
});

const W = [1, -2, 3, 0, 0.5, 0.5, -0.5, 1, 2, 0, 1, -1];
const X = [1, 2, 0, -1, 0, 1, 1, 2];
const G = [1, 0, -1, 2, 1, 0];
const S = Int32Array.of(0, 2);

const f32 = (values: ArrayLike<number>, ...shape: number[]) => ops.runtime.upload(Float32Array.from(values), shape, 'f32');
const i32 = (values: ArrayLike<number>) => ops.runtime.upload(Int32Array.from(values), [values.length], 'i32');
const read = (compute: () => ReturnType<typeof f32>) => ops.runtime.scope(() => [...ops.runtime.readF32(compute())]);
const close = (actual: readonly number[], expected: readonly number[]) => {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 5);
};
const transposed = (values: ArrayLike<number>, rows: number, columns: number) =>
  Array.from({ length: rows * columns }, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] as number);

it('columns S of a 3 x 4 linear: dE = G^T X[:, S], here transposed', () => {
  const dE = read(() => ops.rowGradient(ops.gatherColumns(f32(X, 2, 4), i32(S)), f32(G, 2, 3)));
  expect(dE).toEqual(transposed([1, 2, 0, 1, -1, 0], 3, 2));
});

it('written columns: W with E added, forward as X W^T + X[:, S] E^T', () => {
  const E = [0.5, -1, 0.25, 2, 1, -0.5]; // [3, 2]
  const merged = () => {
    const w = ops.copy(f32(W, 3, 4));
    const places = Array.from(S).flatMap((column) => [0, 1, 2].map((row) => row * 4 + column));
    const base = places.map((place) => W[place] as number);
    ops.writeElements(w, i32(places), ops.add(f32(base, 2, 3), f32(transposed(E, 3, 2), 2, 3)));
    return w;
  };
  expect(read(merged)).toEqual([1.5, -2, 2, 0, 0.75, 0.5, 1.5, 1, 3, 0, 0.5, -1]);
  // By hand: X W^T = [[-3, .5, 3], [1, 2, -1]]; X[:, S] = [[1, 0], [0, 1]], so E's columns are added to the two rows.
  close(
    read(() => ops.linear(f32(X, 2, 4), merged())),
    [-3 + 0.5, 0.5 + 0.25, 3 + 1, 1 - 1, 2 + 2, -1 - 0.5],
  );
});

it('rows and columns together equal LoRA with A = [D; one-hot], B = [one-hot | E], scaling 1: outputs, dD and dE', () => {
  const [N, m, d, r, c] = [7, 11, 5, 3, 2];
  const random = (purpose: string, length: number) => philox(6, purpose, 0).fill(new Float32Array(length), -1, 1);
  const [w, x, g, D, E] = [random('w', m * d), random('x', N * d), random('g', N * m), random('D', r * d), random('E', m * c)];
  const [rows, columns] = [Int32Array.of(1, 4, 10), Int32Array.of(0, 3)];
  const a = new Float32Array((r + c) * d);
  a.set(D);
  const b = new Float32Array(m * (r + c));
  rows.forEach((row, k) => {
    b[row * (r + c) + k] = 1;
  });
  columns.forEach((column, l) => {
    a[(r + l) * d + column] = 1;
    for (let row = 0; row < m; row++) b[row * (r + c) + r + l] = E[row * c + l] as number;
  });
  const loraHidden = () => ops.linear(f32(x, N, d), f32(a, r + c, d)); // [N, r + c]
  const lora = read(() => ops.add(ops.linear(f32(x, N, d), f32(w, m, d)), ops.linear(loraHidden(), f32(b, m, r + c))));
  const dA = read(() => ops.rowGradient(ops.linearBackward(f32(g, N, m), f32(b, m, r + c)), f32(x, N, d)));
  const dB = read(() => ops.rowGradient(f32(g, N, m), loraHidden())); // [m, r + c]

  const module = {
    indices: rows,
    columns,
    inFeatures: d,
    outFeatures: m,
    name: 'm',
    layer: 0,
    target: 'q_proj',
    tensor: 'm',
    rowOffset: 0,
  } as const;
  const places = Array.from(columns).flatMap((column) => Array.from({ length: m }, (_, row) => row * d + column));
  const ours = read(() => {
    const tuned = ops.copy(f32(w, m, d));
    const base = f32(
      places.map((place) => w[place] as number),
      c,
      m,
    );
    ops.writeRows(tuned, i32(rows), ops.add(ops.gatherRows(tuned, i32(rows)), f32(D, r, d)));
    ops.writeElements(tuned, i32(places), ops.add(base, withCrossings(ops, module, f32(D, r, d), f32(transposed(E, m, c), c, m))));
    return ops.linear(f32(x, N, d), tuned);
  });
  close(ours, lora);
  close(
    read(() => ops.rowGradient(ops.gatherColumns(f32(g, N, m), i32(rows)), f32(x, N, d))),
    dA.slice(0, r * d),
  );
  const dE = read(() => ops.rowGradient(ops.gatherColumns(f32(x, N, d), i32(columns)), f32(g, N, m)));
  close(dE, transposed(Array.from({ length: m }, (_, row) => dB.slice(row * (r + c) + r, (row + 1) * (r + c))).flat(), m, c));
});
