import { beforeAll, describe, expect, it } from 'vitest';
import { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';
import { openRuntime } from '../runtime/open-runtime.js';
import { philox } from '../runtime/philox.js';
import type { CausalLM, RowModule } from './causal-lm.js';
import { createCausalLM } from './decoder.js';
import { partsOf, type TrainedPart } from './parts.js';
import { tinyBatch, tinyPlan, withColumns } from './tiny-batch.js';
import { tinyModel } from './tiny-model.js';
import { UpdatePath } from './update-path.js';

let ops: StockOps;
beforeAll(async () => {
  ops = new StockOps(await openRuntime());
});
const f32 = (values: ArrayLike<number>, ...shape: number[]) => ops.runtime.upload(Float32Array.from(values), shape, 'f32', true);
const read = (compute: () => Handle) => ops.runtime.scope(() => Array.from(ops.runtime.readF32(compute())));

describe('masks', () => {
  const mask = (rate: number, key: readonly [number, number]) => read(() => ops.dropoutMask([100, 100], rate, key));

  it('hold 0 and 1/(1 - p), in shares of p and 1 - p', () => {
    const values = mask(0.25, [1, 2]);
    expect(new Set(values)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    // 10,000 draws: standard deviation of the share 0.0043; five of them.
    expect(Math.abs(values.filter((value) => value === 0).length / 1e4 - 0.25)).toBeLessThan(0.022);
  });

  it('are a function of their key', () => {
    expect(mask(0.5, [1, 2])).toEqual(mask(0.5, [1, 2]));
    expect(mask(0.5, [1, 2])).not.toEqual(mask(0.5, [2, 1]));
    expect(mask(0.5, [1, 2])).not.toEqual(mask(0.5, [1, 0x80000002]));
  });
});

describe('one linear', () => {
  const [N, out, inputs] = [5, 4, 3];
  const module: RowModule = {
    ...{ name: 'm', layer: 0, target: 'up_proj', tensor: 'm', rowOffset: 0, outFeatures: out, inFeatures: inputs },
    ...{ indices: Int32Array.of(1, 3), columns: Int32Array.of(2) },
  };
  const random = (purpose: string, length: number) => philox(3, purpose, 0).fill(new Float32Array(length), -1, 1);
  const [w, x, g, D, E] = [
    random('w', out * inputs),
    random('x', N * inputs),
    random('g', N * out),
    random('D', 2 * inputs),
    random('E', out),
  ];
  const update = ({ axis }: TrainedPart) => (axis === 'rows' ? f32(D, 2, inputs) : f32(E, 1, out));
  const dropout = { rate: 0.5, seed: 9, step: 3, micro: 0, update };
  const path = () => new UpdatePath(ops.runtime, ops, new Map([['up_proj', module]]), dropout);
  /** Scatter(D) + E in its column. */
  const at = (row: number, column: number) =>
    (module.indices.includes(row) ? (D[module.indices.indexOf(row) * inputs + column] as number) : 0) +
    (column === 2 ? (E[row] as number) : 0);
  const merged = Array.from(w, (value, i) => value + at(Math.floor(i / inputs), i % inputs));
  const sum = (count: number, term: (i: number) => number) => Array.from({ length: count }, (_, i) => term(i)).reduce((a, b) => a + b, 0);
  /** drop(x) / x: the mask, 0 or 2. */
  const mask = () => read(() => path().dropped(module, f32(x, N, inputs))).map((value, i) => Math.round(value / (x[i] as number)));

  it('forward: X W^T + drop(X) (update)^T', () => {
    const drops = mask();
    expect(new Set(drops)).toEqual(new Set([0, 2]));
    const y = read(() => path().forward('up_proj', f32(x, N, inputs), ops.linear(f32(x, N, inputs), f32(merged, out, inputs))));
    y.forEach((value, i) => {
      const [n, row] = [Math.floor(i / out), i % out];
      const expected = sum(inputs, (j) => {
        const input = x[n * inputs + j] as number;
        return input * ((w[row * inputs + j] as number) + (drops[n * inputs + j] as number) * at(row, j));
      });
      expect(value).toBeCloseTo(expected, 5);
    });
  });

  it("backward: G W + drop'(G (update))", () => {
    const drops = mask();
    const dx = read(() => path().backward('up_proj', () => f32(g, N, out), ops.linearBackward(f32(g, N, out), f32(merged, out, inputs))));
    dx.forEach((value, i) => {
      const [n, j] = [Math.floor(i / inputs), i % inputs];
      const expected = sum(
        out,
        (row) => (g[n * out + row] as number) * ((w[row * inputs + j] as number) + (drops[i] as number) * at(row, j)),
      );
      expect(value).toBeCloseTo(expected, 5);
    });
  });

  it('other linears pass', () => {
    ops.runtime.scope(() => {
      const y = f32(g, N, out);
      expect(path().forward('down_proj', f32(x, N, inputs), y)).toBe(y);
    });
  });
});

describe('a decoder', () => {
  const weights = tinyModel(4);
  const batch = tinyBatch(6, weights.config, [9, 12]);
  /** Rows and columns of every linear, with updates of about a tenth of the weights written into the model. */
  function tuned(memory: 'fast' | 'low') {
    const model = createCausalLM(ops, weights, { memory });
    const plan = withColumns(
      model,
      tinyPlan(model, 4),
      5,
      (name) => /(down|v|o)_proj/.test(name),
      (name) => name.endsWith('o_proj'),
    );
    const parts = plan.modules.flatMap(partsOf);
    const updates = new Map(
      parts.map((part) => [part.key, philox(8, part.key, 0).fill(new Float32Array(part.ids.length * part.width), -0.03, 0.03)]),
    );
    for (const part of parts) move(model, part, updates.get(part.key) as Float32Array, 1);
    const dropout = (micro = 0) => ({
      ...{ rate: 0.3, seed: 2, step: 5, micro },
      update: ({ key, ids, width }: TrainedPart) => f32(updates.get(key) as Float32Array, ids.length, width),
    });
    return { model, plan, parts, updates, dropout };
  }
  /** Adds factor times the update to what the model holds. */
  function move(model: CausalLM, { axis, module, ids, width }: TrainedPart, update: Float32Array, factor: number): void {
    const now = axis === 'rows' ? model.readRows(module, ids) : model.readColumns(module, ids);
    const values = f32(
      now.map((value, i) => value + factor * (update[i] as number)),
      ids.length,
      width,
    );
    if (axis === 'rows') model.writeRows(module, ids, values);
    else model.writeColumns(module, ids, values);
    ops.runtime.release(values);
  }
  function evaluate({ model, plan, dropout }: ReturnType<typeof tuned>, micro = 0) {
    const { grads, lossSum } = model.lossAndGrads(batch, plan, 1, dropout(micro));
    const values = new Map(Array.from(grads, ([key, handle]) => [key, ops.runtime.readF32(handle).slice()]));
    ops.runtime.release(...grads.values());
    return { lossSum, values };
  }

  it('gradients equal central differences of the loss under the same masks', () => {
    const run = tuned('fast');
    const { values } = evaluate(run);
    for (const part of run.parts) {
      const gradient = values.get(part.key) as Float32Array;
      const norm = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
      const update = run.updates.get(part.key) as Float32Array;
      const lossAt = (step: number) => {
        const direction = gradient.map((value) => value / norm);
        move(run.model, part, direction, step);
        run.updates.set(
          part.key,
          update.map((value, i) => value + step * (direction[i] as number)),
        );
        const { lossSum } = evaluate(run);
        move(run.model, part, direction, -step);
        run.updates.set(part.key, update);
        return lossSum;
      };
      const slope = (lossAt(0.01) - lossAt(-0.01)) / 0.02;
      expect(Math.abs(slope - norm) / norm, part.key).toBeLessThan(1e-2);
    }
    run.model.dispose();
  });

  it('masks change with the micro-step; a layer run again for want of memory has the same ones', () => {
    const [fast, low] = [tuned('fast'), tuned('low')];
    const handles = ops.runtime.handleCount;
    const first = evaluate(fast);
    expect(evaluate(low)).toEqual(first);
    expect(evaluate(fast, 1).lossSum).not.toBe(first.lossSum);
    evaluate(fast);
    expect(ops.runtime.handleCount - handles).toBeLessThanOrEqual(8); // tables of positions of two models
    fast.model.dispose();
    low.model.dispose();
  });
});
