/** Every override against its stock twin, over shapes that fill vectors and blocks and shapes that do not. */
import { loadKernels } from '@rowsmith/kernels';
import { beforeAll, describe, expect, it } from 'vitest';
import { createCausalLM } from '../models/decoder.js';
import { tinyBatch, tinyPlan } from '../models/tiny-batch.js';
import { tinyModel } from '../models/tiny-model.js';
import type { Handle } from '../runtime/handle.js';
import { openRuntime } from '../runtime/open-runtime.js';
import { philox } from '../runtime/philox.js';
import type { Runtime } from '../runtime/runtime.js';
import { FusedOps } from './fused-ops.js';
import type { HeadShape, Ops } from './ops.js';
import { StockOps } from './stock-ops.js';

let runtime: Runtime;
let stock: StockOps;
let fused: FusedOps;
beforeAll(async () => {
  runtime = await openRuntime();
  const kernels = await loadKernels();
  if (!kernels.loaded) throw new Error(`fused operators: ${kernels.reason}`);
  stock = new StockOps(runtime);
  fused = new FusedOps(runtime);
});

const random = (purpose: string, ...shape: number[]): Handle => {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  return runtime.upload(philox(1, purpose, 0).fill(values, -1, 1), shape, 'f32');
};
type Results = Readonly<Record<string, Handle>>;

/** Runs `body` on both and compares every result, relative to the largest value; integers must be equal. */
function twins(body: (ops: Ops) => Results, tolerance = 3e-6, [one, other]: readonly [Ops, Ops] = [stock, fused]): void {
  const before = runtime.handleCount;
  runtime.scope(() => {
    const want = body(one);
    const got = body(other);
    for (const [name, handle] of Object.entries(want)) {
      const mine = got[name] as Handle;
      expect(mine.shape, name).toEqual(handle.shape);
      if (handle.dtype === 'i32') {
        expect(runtime.readI32(mine), name).toEqual(runtime.readI32(handle));
        continue;
      }
      const [a, b] = [runtime.readF32(handle), runtime.readF32(mine)];
      const size = a.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
      const worst = a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? Number.NaN))), 0);
      expect(worst / size, name).toBeLessThan(tolerance);
    }
  });
  expect(runtime.handleCount - before).toBeLessThanOrEqual(12); // constants of the stock twin, made once
}

describe.each([
  [1, 5, 3],
  [60, 33, 100],
  [300, 96, 576],
])('linears of %i rows, [%i, %i]', (n, out, width) => {
  const products = (ops: Ops): Results => {
    const [x, g, w] = [random('x', n, width), random('g', n, out), random('w', out, width)];
    return { y: ops.linear(x, w), dx: ops.linearBackward(g, w), rows: ops.rowGradient(g, x) };
  };
  it('f32', () => twins(products));
  it('bf16: operands are rounded, but the gradient of the rows is not', () => {
    const [rounding, fusedRounding] = [new StockOps(runtime, 'bf16'), new FusedOps(runtime, 'bf16')];
    twins(products, 3e-6, [rounding, fusedRounding]);
    runtime.scope(() => {
      const [exact, rounded] = [products(fused), products(fusedRounding)].map(({ y, rows }) =>
        [y, rows].map((h) => runtime.readF32(h as Handle).slice()),
      );
      expect(rounded?.[0]).not.toEqual(exact?.[0]);
      expect(rounded?.[1]).toEqual(exact?.[1]);
    });
  });
});

describe.each([
  [1, 3],
  [7, 20],
  [130, 576],
])('norms and gates on [%i, %i]', (n, c) => {
  it('rmsNorm, addRmsNorm, rmsNormBackward', () => {
    const inputs = () => [random('x', n, c), random('y', n, c), random('w', c), random('g', n, c)] as const;
    twins((ops) => {
      const [x, y, w] = inputs();
      return { plain: ops.rmsNorm(x, w, 1e-5), ...ops.addRmsNorm(x, y, w, 1e-5) };
    });
    twins((ops) => {
      const [x, y, w, g] = inputs();
      const alone = ops.rmsNormBackward(g, x, w, 1e-5);
      return { alone: alone.dx, again: alone.normed, ...ops.rmsNormBackward(g, x, w, 1e-5, y) };
    });
  });
  it.each(['silu', 'gelu_tanh'] as const)('swiGlu, swiGluBackward: %s', (activation) => {
    twins((ops) => {
      const [gate, up, d] = [ops.scale(random('gate', n, c), 8), random('up', n, c), random('d', n, c)];
      return { y: ops.swiGlu(gate, up, activation), ...ops.swiGluBackward(d, gate, up, activation) };
    }, 5e-6);
  });
});

describe.each<[string, HeadShape]>([
  ['one token', { batch: 1, length: 1, heads: 1, kvHeads: 1, headDim: 4 }],
  ['odd sizes', { batch: 2, length: 11, heads: 6, kvHeads: 2, headDim: 6 }],
  ['more than a block', { batch: 1, length: 131, heads: 9, kvHeads: 3, headDim: 64 }],
])('heads and attention, %s', (_, shape) => {
  const { batch, length, heads, kvHeads, headDim } = shape;
  const queries = [batch, kvHeads, (length * heads) / kvHeads, headDim] as const;
  const keys = [batch, kvHeads, length, headDim] as const;
  it('split, merge, rotate', () => {
    twins((ops) => {
      const x = random('x', batch * length, heads * headDim);
      const options = { headDim, copies: heads / kvHeads, attentionFactor: 1.1, scale: 0.5 };
      const table = ops.ropeTable(length, { ...options, frequencies: Float32Array.from({ length: headDim / 2 }, (_, i) => 0.3 ** i) });
      const partial = ops.ropeTable(length, { ...options, frequencies: Float32Array.of(0.7) });
      const turned = ops.splitHeadsRope(x, shape, table);
      const some = ops.splitHeadsRope(x, shape, partial);
      return {
        turned,
        some,
        someBack: ops.splitHeadsRopeBackward(turned, shape, partial),
        back: ops.splitHeadsRopeBackward(turned, shape, table),
        split: ops.splitHeads(x, shape),
        merged: ops.mergeHeads(random('m', ...queries), shape),
      };
    });
  });
  it('forward and backward', () => {
    twins((ops) => {
      const [q, k, v, dOut] = [random('q', ...queries), random('k', ...keys), random('v', ...keys), random('do', ...queries)];
      const { out, lse } = ops.causalAttention(q, k, v, shape);
      const gradients = ops.causalAttentionBackward(dOut, { q, k, v, out, lse }, shape);
      return { out, lse, forward: ops.causalAttentionForward(q, k, v, shape), ...gradients };
    }, 1e-5);
  });
});

it.each([
  [1, 2, 37],
  [5, 16, 1000],
  // Several chunks of the vocabulary product.
  [300, 8, 60_000],
])('crossEntropy of %i rows, width %i, vocabulary %i', (m, c, v) => {
  twins((ops) => {
    const [hidden, head] = [ops.scale(random('hidden', m, c), 3), random('head', v, c)];
    const labels = runtime.upload(
      Int32Array.from({ length: m }, (_, i) => (i * 7919) % v),
      [m],
      'i32',
    );
    const forward = ops.crossEntropyForward(hidden, head, labels);
    const capped = ops.crossEntropy(hidden, head, labels, 2.5);
    return {
      ...ops.crossEntropy(hidden, head, labels),
      forward: forward.loss,
      same: forward.predicted,
      cappedLoss: capped.loss,
      cappedGradient: capped.dHidden,
      cappedForward: ops.crossEntropyForward(hidden, head, labels, 2.5).loss,
    };
  }, 1e-5);
});

it('a whole model: loss and row gradients agree, fast and low memory', () => {
  const source = tinyModel(3);
  const batch = tinyBatch(5, source.config, [90, 5, 71]);
  for (const memory of ['fast', 'low'] as const) {
    const run = (ops: StockOps) => {
      const model = createCausalLM(ops, source, { memory });
      const { grads, ...sums } = model.lossAndGrads(batch, tinyPlan(model, 3), 0.1);
      const rows = new Map(Array.from(grads, ([name, handle]) => [name, runtime.readF32(handle)]));
      runtime.release(...grads.values());
      model.dispose();
      return { sums, rows };
    };
    const [a, b] = [run(stock), run(fused)];
    expect(Math.abs(a.sums.lossSum - b.sums.lossSum) / a.sums.lossSum).toBeLessThan(1e-6);
    expect(b.sums.correct).toBe(a.sums.correct);
    for (const [name, want] of a.rows) {
      const got = b.rows.get(name) as Float32Array;
      const size = want.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
      expect(want.reduce((most, value, i) => Math.max(most, Math.abs(value - (got[i] ?? Number.NaN))), 0) / size, name).toBeLessThan(2e-5);
    }
  }
});
