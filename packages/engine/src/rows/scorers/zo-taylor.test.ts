import { beforeAll, describe, expect, it } from 'vitest';
import { type Engine, openEngine } from '../../engine.js';
import { normalNoise } from './noise.js';
import { taylorScores } from './taylor.js';
import { estimatedGradient, projectedGradients, splitsOf } from './zo-taylor.js';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
});

/** A linear loss sum C W: its projected gradient along z is sum C z, whatever the step. */
const C = [1, -1, 2, 0];
const along = (z: readonly number[]) => C.reduce((sum, c, e) => sum + c * (z[e] as number), 0);
const W = [2, -1, 0.5, 0.25];
const upload = (values: readonly number[]) => engine.ops.runtime.upload(Float32Array.from(values), [2, 2], 'f32');

describe('SPSA on a linear loss', () => {
  const directions = [
    [1, 0, 1, -1],
    [0, 1, -1, 1],
  ];

  it.each([1e-3, 0.5])('step %f: projected gradients, their mean over directions, scores', async (eps) => {
    const rho = await projectedGradients(2, 1, eps, async (_split, k, step) =>
      along(W.map((w, e) => w + step * (directions[k]?.[e] as number))),
    );
    expect(rho[0]).toBeCloseTo(3, 9);
    expect(rho[1]).toBeCloseTo(-3, 9);
    const { runtime } = engine.ops;
    runtime.scope(() => {
      const gradient = estimatedGradient(engine, Float64Array.of(3, -3), (k) => upload(directions[k] as number[]));
      expect(Array.from(runtime.readF32(gradient))).toEqual([1.5, -1.5, 3, -3]);
      expect(Array.from(taylorScores(engine.ops, upload(W), gradient).out)).toEqual([4.5, 2.25]);
    });
  });

  it('each direction looks at its own split, the same one for + and -', async () => {
    const calls: (readonly [number, number, number])[] = [];
    await projectedGradients(2, 3, 0.5, async (...call) => calls.push(call));
    expect(calls).toEqual([0, 1, 2, 3, 4, 5].flatMap((k) => [0.5, -0.5].map((step) => [k % 3, k, step])));
  });

  it('the mean of many estimates tends to the gradient', () => {
    const { runtime } = engine.ops;
    const count = 4000;
    const noise = (k: number) => normalNoise(runtime, 5, k, 'toy', [2, 2]);
    const rho = Float64Array.from({ length: count }, (_, k) => runtime.scope(() => along(Array.from(runtime.readF32(noise(k))))));
    const mean = runtime.scope(() => Array.from(runtime.readF32(estimatedGradient(engine, rho, noise))));
    // Standard error of an entry: sqrt((|C|^2 + C_e^2) / count) <= 0.05; five of them.
    for (const [e, value] of mean.entries()) expect(Math.abs(value - (C[e] as number))).toBeLessThan(0.25);
  });
});

describe('noise', () => {
  const draw = (seed: number, direction: number, name: string) =>
    engine.ops.runtime.scope(() =>
      Array.from(engine.ops.runtime.readF32(normalNoise(engine.ops.runtime, seed, direction, name, [50, 80]))),
    );

  it('is a function of seed, direction and name, and of each of them', () => {
    const drawn = draw(1, 2, 'a');
    expect(draw(1, 2, 'a')).toEqual(drawn);
    for (const other of [draw(2, 2, 'a'), draw(1, 3, 'a'), draw(1, 2, 'b')]) {
      const correlation = other.reduce((sum, z, i) => sum + z * (drawn[i] as number), 0) / other.length;
      expect(Math.abs(correlation)).toBeLessThan(0.08); // five standard errors of 1/sqrt(4000)
    }
  });

  it('is standard normal', () => {
    const drawn = draw(3, 0, 'a');
    const mean = drawn.reduce((sum, z) => sum + z, 0) / drawn.length;
    const variance = drawn.reduce((sum, z) => sum + z * z, 0) / drawn.length;
    expect(Math.abs(mean)).toBeLessThan(0.08);
    expect(Math.abs(variance - 1)).toBeLessThan(0.12);
  });
});

describe('splits', () => {
  it('take equally many batches in a row and leave the rest', () => {
    expect(splitsOf([1, 2, 3, 4, 5, 6, 7], 3)).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
  });

  it('refuses fewer batches than splits', () => {
    expect(() => splitsOf([1, 2], 3)).toThrow(expect.objectContaining({ code: 'invalid_options', param: 'row_sparse.zo_splits' }));
  });
});
