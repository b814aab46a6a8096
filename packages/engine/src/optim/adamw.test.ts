import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openEngine } from '../engine.js';
import { StockOps } from '../ops/stock-ops.js';
import { philox } from '../runtime/philox.js';
import { type AdamState, type AdamStep, adamwStep } from './adamw.js';
import { clipScale, globalNorm } from './clip.js';

let stock: StockOps;
let fused: StockOps;
let ops: StockOps;
beforeAll(async () => {
  const engine = await openEngine();
  stock = new StockOps(engine.ops.runtime);
  fused = engine.ops;
  ops = stock;
});

const upload = (values: ArrayLike<number>, width = 4) =>
  ops.runtime.upload(Float32Array.from(values), [values.length / width, width], 'f32');

/** Runs steps from zero moments; D after each. */
function run(D: readonly number[], gradients: readonly (readonly number[])[], options: Omit<AdamStep, 't'>): Float32Array[] {
  return ops.runtime.scope(() => {
    let state: AdamState = { delta: upload(D), m: ops.zeros([D.length / 4, 4]), v: ops.zeros([D.length / 4, 4]) };
    const base = ops.zeros([D.length / 4, 4]);
    return gradients.map((gradient, i) => {
      state = adamwStep(ops, state, upload(gradient), base, { ...options, t: i + 1 });
      return ops.runtime.readF32(state.delta).slice();
    });
  });
}

/** The formula in f64. */
function reference(
  D: readonly number[],
  gradients: readonly (readonly number[])[],
  { learningRate: lr, weightDecay: wd, gradientScale }: Omit<AdamStep, 't'>,
) {
  let [delta, m, v] = [[...D], D.map(() => 0), D.map(() => 0)];
  return gradients.map((raw, i) => {
    const g = raw.map((value) => value * gradientScale);
    m = m.map((value, j) => 0.9 * value + 0.1 * (g[j] as number));
    v = v.map((value, j) => 0.999 * value + 0.001 * (g[j] as number) ** 2);
    delta = delta.map((value, j) => {
      const denominator = Math.sqrt((v[j] as number) / (1 - 0.999 ** (i + 1))) + 1e-8;
      return value * (1 - lr * wd) - ((lr / (1 - 0.9 ** (i + 1))) * (m[j] as number)) / denominator;
    });
    return delta;
  });
}

const largestError = (actual: ArrayLike<number> | undefined, expected: readonly number[] | undefined) =>
  Math.max(...Array.from(actual ?? [Number.NaN], (value, i) => Math.abs(value - (expected?.[i] ?? Number.NaN))));

const D0 = [0.1, 0, -0.2, 0.3, -0.1, 0.2, 0, 0.1];
const gradients = [
  [1, 4, 2, 3, -1, -2, 0, 1],
  [1, -4, 0, 3, -1, 2, 1, 1],
];
const plain = { learningRate: 1e-4, weightDecay: 0, gradientScale: 1 };

describe.each(['stock', 'fused'] as const)('adamwStep, %s operators', (kind) => {
  beforeEach(() => {
    ops = kind === 'stock' ? stock : fused;
  });

  // torch.optim.AdamW(lr=1e-4, weight_decay=0) on the same D and gradients, f32, printed to 8 digits
  const torch = [
    [0.0999, -0.0001, -0.2001, 0.2999, -0.0999, 0.2001, 0, 0.0999],
    [0.0998, -0.00009474, -0.20016702, 0.2998, -0.0998, 0.20009474, -0.00007441, 0.0998],
  ];

  it('two steps equal torch: within one f32 spacing (3e-8 at 0.3) a step, and to 1e-8 where D is small', () => {
    const steps = run(D0, gradients, plain);
    const exact = reference(D0, gradients, plain);
    for (const i of [0, 1]) {
      expect(largestError(exact[i], torch[i])).toBeLessThan(1.5e-8);
      expect(largestError(steps[i], torch[i])).toBeLessThan(3e-8 * (i + 1));
      for (const small of [1, 6]) expect(Math.abs((steps[i]?.[small] as number) - (torch[i]?.[small] as number))).toBeLessThan(1e-8);
    }
  });

  it('from D = 0, as training starts, the same steps equal the formula in f64 to 1e-10', () => {
    const zero = D0.map(() => 0);
    const [steps, exact] = [run(zero, gradients, plain), reference(zero, gradients, plain)];
    for (const i of [0, 1]) expect(largestError(steps[i], exact[i])).toBeLessThan(1e-10);
  });

  it('ten steps with decay and a gradient scale equal the formula in f64', () => {
    const random = philox(3, 'adam', 0);
    const D = Array.from({ length: 40 }, () => random.f32() - 0.5);
    const many = Array.from({ length: 10 }, () => D.map(() => 2 * random.f32() - 1));
    const options = { learningRate: 1e-2, weightDecay: 0.1, gradientScale: 0.25 };
    const [actual, expected] = [run(D, many, options), reference(D, many, options)];
    // ten roundings of numbers below 1/2, 3e-8 each
    for (const i of many.keys()) expect(largestError(actual[i], expected[i])).toBeLessThan(3e-7);
    expect(largestError(actual[9], reference(D, many, { ...options, weightDecay: 0 })[9])).toBeGreaterThan(1e-4);
  });
});

describe('clipping', () => {
  it('the norm runs over all buffers: sqrt(9 + 16 + 144) = 13', () => {
    const norm = ops.runtime.scope(() => globalNorm(ops, [upload([3, 0, 0, 4]), upload([0, 12], 2)]));
    expect(norm).toBe(13);
  });

  it.each([
    [13, 1, 1 / 13.000001],
    [0.5, 1, 1],
    [1e9, 0, 1],
    [0, 1, 1],
  ])('norm %f, max %f: gradients x %f', (norm, max, expected) => expect(clipScale(norm, max)).toBeCloseTo(expected, 12));
});
