import { beforeAll, expect, test } from 'vitest';
import { host, type OpCaller, openOpCaller, values, worst } from './op-caller.js';

let ops: OpCaller;
beforeAll(async () => {
  ops = await openOpCaller();
});
const none = new Float32Array(0);
const matrix = (rows: number[][]) => host([rows.length, rows[0]?.length ?? 0], Float32Array.from(rows.flat()));
const scalars = (lr: number, t: number, factor = 1, decay = 0) =>
  host([10], new Float32Array([lr, 0.9, 0.999, 1e-8, decay, 1 - 0.9 ** t, 1 - 0.999 ** t, factor, 1 - 0.9, 1 - 0.999]));

/** Two steps of torch.optim.AdamW on a 2 x 4 matrix, lr 1e-4 (computed with torch). */
test('two steps equal torch', () => {
  const base = matrix([
    [1, 1, 1, 1],
    [1, 1, 1, 1],
  ]);
  const zero = matrix([
    [0, 0, 0, 0],
    [0, 0, 0, 0],
  ]);
  const delta = matrix([
    [0.1, 0, -0.2, 0.3],
    [-0.1, 0.2, 0, 0.1],
  ]);
  const g1 = matrix([
    [1, 4, 2, 3],
    [-1, -2, 0, 1],
  ]);
  const g2 = matrix([
    [1, -4, 0, 3],
    [-1, 2, 1, 1],
  ]);
  const [merged1 = none, d1 = none, m1 = none, v1 = none] = ops.call(
    'RowsmithAdamW',
    {},
    [delta, zero, zero, g1, base, scalars(1e-4, 1)],
    1,
    [0, 1, 2],
  );
  expect(worst(d1, [0.0999, -0.0001, -0.2001, 0.2999, -0.0999, 0.2001, 0, 0.0999])).toBeLessThan(4e-8);
  expect(merged1).toEqual(d1.map((d) => Math.fround(1 + d)));
  const [, d2 = none] = ops.call(
    'RowsmithAdamW',
    {},
    [host([2, 4], d1), host([2, 4], m1), host([2, 4], v1), g2, base, scalars(1e-4, 2)],
    1,
    [0],
  );
  expect(worst(d2, [0.0998, -0.00009474, -0.20016702, 0.2998, -0.0998, 0.20009474, -0.00007441, 0.0998])).toBeLessThan(4e-8);
});

test('clipping factor and weight decay: a gradient scaled by hand gives the same step', () => {
  const delta = host([3, 5], values(15, 1));
  const grad = values(15, 2);
  const zero = host([3, 5], new Float32Array(15));
  const run = (g: Float32Array, factor: number) =>
    ops.call('RowsmithAdamW', {}, [delta, zero, zero, host([3, 5], g), zero, scalars(0.01, 1, factor, 0.1)], 1, [0])[1] ?? none;
  expect(run(grad, 0.5)).toEqual(
    run(
      grad.map((x) => Math.fround(x * 0.5)),
      1,
    ),
  );
  const noDecay = ops.call('RowsmithAdamW', {}, [delta, zero, zero, host([3, 5], grad), zero, scalars(0.01, 1, 0.5, 0)], 1, [0])[1] ?? none;
  expect(
    worst(
      run(grad, 0.5),
      noDecay.map((d, i) => d - 0.001 * (delta.data[i] ?? 0)),
    ),
  ).toBeLessThan(1e-7);
});

test('the sum of squares', () => {
  const grad = values(7 * 33, 3);
  const [sum = none] = ops.call('RowsmithSquareSum', {}, [host([7, 33], grad)], 1);
  expect(sum[0]).toBeCloseTo(
    grad.reduce((s, g) => s + g * g, 0),
    4,
  );
});
