import { loadTensorFlow } from '@rowsmith/native';
import { beforeAll, describe, expect, it } from 'vitest';
import { StockOps } from '../ops/stock-ops.js';
import { openRuntime } from '../runtime/open-runtime.js';
import type { Batch, CausalLM, RowPlan } from './causal-lm.js';
import { createCausalLM } from './decoder.js';
import { denseLossAndGradients } from './dense-reference.js';
import { tinyBatch, tinyPlan } from './tiny-batch.js';
import { tinyModel } from './tiny-model.js';

let ops: StockOps;
let tf: Awaited<ReturnType<typeof loadTensorFlow>>;
beforeAll(async () => {
  ops = new StockOps(await openRuntime());
  tf = await loadTensorFlow();
});

function gradients(model: CausalLM, batch: Batch, plan: RowPlan, scale = 1) {
  const { grads, ...sums } = model.lossAndGrads(batch, plan, scale);
  const rows = new Map(Array.from(grads, ([name, handle]) => [name, ops.runtime.readF32(handle)]));
  ops.runtime.release(...grads.values());
  return { sums, rows };
}

/** Largest difference relative to the largest expected value. */
function deviation(actual: Float32Array, expected: ArrayLike<number>): number {
  const values = Array.from(expected);
  const scale = Math.max(1e-6, ...values.map(Math.abs));
  expect(actual.length).toBe(values.length);
  return Math.max(...values.map((value, i) => Math.abs((actual[i] as number) - value))) / scale;
}

function selectedRows(matrix: Float32Array, indices: Int32Array, width: number): number[] {
  return Array.from(indices).flatMap((row) => Array.from(matrix.subarray(row * width, (row + 1) * width)));
}

describe('row gradients', () => {
  const subsets: [string, number, (name: string) => boolean][] = [
    ['all linears', 3, () => true],
    ['every row of all linears', 1, () => true],
    ['upper layer only', 2, (name) => name.includes('layers.1.')],
    ['down_proj of the upper layer', 2, (name) => name === 'model.layers.1.mlp.down_proj'],
    ['up_proj of the upper layer', 2, (name) => name === 'model.layers.1.mlp.up_proj'],
    ['o_proj of the lower layer', 2, (name) => name === 'model.layers.0.self_attn.o_proj'],
    ['k_proj and v_proj of the lower layer', 2, (name) => /layers.0.self_attn.[kv]_proj/.test(name)],
    ['q_proj below, gate_proj above', 2, (name) => /layers.0.self_attn.q_proj|layers.1.mlp.gate_proj/.test(name)],
  ];
  for (const tie_embeddings of [true, false]) {
    const weights = tinyModel(3, { tie_embeddings });
    const batch = tinyBatch(5, weights.config, [11, 5, 8]);
    it.each(subsets)(`${tie_embeddings ? 'tied' : 'untied'}, %s: equal automatic differentiation of a dense model`, (_, stride, wanted) => {
      const reference = denseLossAndGradients(tf, weights, batch);
      for (const memory of ['fast', 'low'] as const) {
        const model = createCausalLM(ops, weights, { memory });
        const plan = tinyPlan(model, stride, wanted);
        const { sums, rows } = gradients(model, batch, plan);
        expect(Math.abs(sums.lossSum - reference.loss) / reference.loss).toBeLessThan(2e-6);
        expect([...rows.keys()].sort()).toEqual(plan.modules.map(({ name }) => name).sort());
        for (const { name, indices, inFeatures } of plan.modules) {
          const expected = selectedRows(reference.gradients.get(name) as Float32Array, indices, inFeatures);
          expect(deviation(rows.get(name) as Float32Array, expected), name).toBeLessThan(2e-5);
        }
        model.dispose();
      }
    });
  }

  it('equal central differences of the loss along the gradient', () => {
    const weights = tinyModel(4, { tie_embeddings: false });
    const model = createCausalLM(ops, weights);
    const batch = tinyBatch(6, weights.config, [9, 12]);
    const plan = tinyPlan(model, 4);
    const { rows } = gradients(model, batch, plan);
    for (const module of plan.modules) {
      const direction = rows.get(module.name) as Float32Array;
      const norm = Math.sqrt(direction.reduce((sum, value) => sum + value * value, 0));
      const base = model.readRows(module, module.indices);
      const lossAt = (step: number) => {
        const moved = base.map((value, i) => value + (step / norm) * (direction[i] as number));
        const handle = ops.runtime.upload(moved, [module.indices.length, module.inFeatures], 'f32');
        model.writeRows(module, module.indices, handle);
        ops.runtime.release(handle);
        return model.loss(batch).lossSum;
      };
      const step = 0.01;
      const slope = (lossAt(step) - lossAt(-step)) / (2 * step);
      lossAt(0);
      // The slope along the unit gradient is the gradient's norm; f32 losses near 60 leave about 1e-3.
      expect(Math.abs(slope - norm) / norm, module.name).toBeLessThan(5e-3);
    }
    model.dispose();
  });
});

describe('sums and scale', () => {
  it('gradients are of the sum of losses: two sequences together equal one after the other', () => {
    const weights = tinyModel(7);
    const model = createCausalLM(ops, weights);
    const plan = tinyPlan(model, 2);
    const both = tinyBatch(8, weights.config, [10, 10]);
    const half = (b: number): Batch => ({
      size: 1,
      length: 10,
      ids: both.ids.slice(b * 10, b * 10 + 10),
      labels: both.labels.slice(b * 10, b * 10 + 10),
    });
    const together = gradients(model, both, plan);
    const [first, second] = [gradients(model, half(0), plan), gradients(model, half(1), plan)];
    expect(together.sums.labelled).toBe(first.sums.labelled + second.sums.labelled);
    expect(together.sums.correct).toBe(first.sums.correct + second.sums.correct);
    expect(together.sums.lossSum).toBeCloseTo(first.sums.lossSum + second.sums.lossSum, 4);
    for (const [name, rows] of together.rows) {
      const sum = (first.rows.get(name) as Float32Array).map((value, i) => value + (second.rows.get(name)?.[i] as number));
      expect(deviation(rows, sum), name).toBeLessThan(1e-5);
    }
    model.dispose();
  });

  it('scale multiplies gradients, not the loss: a power of two exactly', () => {
    const weights = tinyModel(7);
    const model = createCausalLM(ops, weights);
    const plan = tinyPlan(model, 2);
    const batch = tinyBatch(8, weights.config, [10, 6]);
    const [one, quarter] = [gradients(model, batch, plan, 1), gradients(model, batch, plan, 0.25)];
    expect(quarter.sums).toEqual(one.sums);
    for (const [name, rows] of quarter.rows) expect(rows.map((value) => value * 4)).toEqual(one.rows.get(name));
    model.dispose();
  });

  it('a batch without labels has zero loss and zero gradients; a label at position 0 has no predictor', () => {
    const weights = tinyModel(7);
    const model = createCausalLM(ops, weights);
    const plan = tinyPlan(model, 5);
    const batch = tinyBatch(8, weights.config, [6]);
    const labels = new Int32Array(6).fill(-100);
    labels[0] = 4;
    const { sums, rows } = gradients(model, { ...batch, labels }, plan);
    expect(sums).toEqual({ lossSum: 0, correct: 0, labelled: 0 });
    for (const values of rows.values()) expect(values.every((value) => value === 0)).toBe(true);
    expect(model.loss({ ...batch, labels })).toEqual({ lossSum: 0, correct: 0, labelled: 0 });
    model.dispose();
  });
});
