import { beforeAll, expect, it } from 'vitest';
import { StockOps } from '../ops/stock-ops.js';
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
const D = [0.1, 0, -0.2, 0.3, -0.1, 0.2, 0, 0.1];

const f32 = (values: ArrayLike<number>, ...shape: number[]) => ops.runtime.upload(Float32Array.from(values), shape, 'f32');
const i32 = (values: Int32Array) => ops.runtime.upload(values, [values.length], 'i32', true);
const read = (compute: () => ReturnType<typeof f32>) => ops.runtime.scope(() => [...ops.runtime.readF32(compute())]);
const close = (actual: readonly number[], expected: readonly number[]) => {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 6);
};

/** W with D added in rows S, as training holds it. */
function merged() {
  const w = ops.copy(f32(W, 3, 4));
  ops.writeRows(w, i32(S), ops.add(ops.gatherRows(w, i32(S)), f32(D, 2, 4)));
  return w;
}

it('rows S of a 3 x 4 linear: forward, dD, dX and merged weights', () => {
  close(
    read(() => merged()),
    [1.1, -2, 2.8, 0.3, 0.5, 0.5, -0.5, 1, 1.9, 0.2, 1, -0.9],
  );
  close(
    read(() => ops.linear(f32(X, 2, 4), merged())),
    [-3.2, 0.5, 3.2, 1.4, 2, -0.6],
  );
  close(
    read(() => ops.rowGradient(ops.gatherColumns(f32(G, 2, 3), i32(S)), f32(X, 2, 4))),
    [1, 4, 2, 3, -1, -2, 0, 1],
  );
  close(
    read(() => ops.linearBackward(f32(G, 2, 3), merged())),
    [-0.8, -2.2, 1.8, 1.2, 2.7, -3.5, 5.1, 1.6],
  );
});

it('with D = 0 the forward pass is the base, exactly', () => {
  expect(read(() => ops.linear(f32(X, 2, 4), f32(W, 3, 4)))).toEqual([-3, 0.5, 3, 1, 2, -1]);
});

it('equals LoRA with A = D, frozen one-hot B and scaling 1: outputs and dA', () => {
  const [N, m, d, r] = [7, 11, 5, 3];
  const random = (purpose: string, length: number) => philox(5, purpose, 0).fill(new Float32Array(length), -1, 1);
  const [w, x, g, a] = [random('w', m * d), random('x', N * d), random('g', N * m), random('a', r * d)];
  const rows = Int32Array.of(1, 4, 10);
  const oneHot = new Float32Array(m * r); // [m, r]
  for (const [k, row] of rows.entries()) oneHot[row * r + k] = 1;
  const lora = read(() =>
    ops.add(ops.linear(f32(x, N, d), f32(w, m, d)), ops.linear(ops.linear(f32(x, N, d), f32(a, r, d)), f32(oneHot, m, r))),
  );
  const loraGradient = read(() => ops.rowGradient(ops.linearBackward(f32(g, N, m), f32(oneHot, m, r)), f32(x, N, d)));
  const ours = read(() => {
    const tuned = ops.copy(f32(w, m, d));
    ops.writeRows(tuned, i32(rows), ops.add(ops.gatherRows(tuned, i32(rows)), f32(a, r, d)));
    return ops.linear(f32(x, N, d), tuned);
  });
  close(ours, lora);
  close(
    read(() => ops.rowGradient(ops.gatherColumns(f32(g, N, m), i32(rows)), f32(x, N, d))),
    loraGradient,
  );
});
