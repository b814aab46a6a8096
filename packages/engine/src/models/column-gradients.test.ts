import { loadTensorFlow } from '@rowsmith/native';
import { beforeAll, describe, expect, it } from 'vitest';
import { StockOps } from '../ops/stock-ops.js';
import { openRuntime } from '../runtime/open-runtime.js';
import type { CausalLM, RowPlan } from './causal-lm.js';
import { createCausalLM } from './decoder.js';
import { denseLossAndGradients } from './dense-reference.js';
import { partsOf, type TrainedPart } from './parts.js';
import { tinyBatch, tinyPlan, withColumns } from './tiny-batch.js';
import { tinyModel } from './tiny-model.js';

let ops: StockOps;
let tf: Awaited<ReturnType<typeof loadTensorFlow>>;
beforeAll(async () => {
  ops = new StockOps(await openRuntime());
  tf = await loadTensorFlow();
});

/** Of a whole gradient [out, in]: the part's rows, or its columns transposed. */
function partOf(matrix: Float32Array, { axis, ids, module: { inFeatures, outFeatures } }: TrainedPart): number[] {
  return Array.from(ids).flatMap((id) =>
    axis === 'rows'
      ? Array.from(matrix.subarray(id * inFeatures, (id + 1) * inFeatures))
      : Array.from({ length: outFeatures }, (_, row) => matrix[row * inFeatures + id] as number),
  );
}

function deviation(actual: Float32Array, expected: readonly number[]): number {
  expect(actual.length).toBe(expected.length);
  const scale = Math.max(1e-6, ...expected.map(Math.abs));
  return Math.max(...expected.map((value, i) => Math.abs((actual[i] as number) - value))) / scale;
}

describe('gradients of columns', () => {
  const cases: [string, (model: CausalLM) => RowPlan][] = [
    ['columns of all linears', (model) => withColumns(model, { modules: [] }, 3)],
    ['rows and columns of all linears', (model) => withColumns(model, tinyPlan(model, 3), 2)],
    [
      'rows above, columns below',
      (model) =>
        withColumns(
          model,
          tinyPlan(model, 3, (n) => n.includes('layers.1.')),
          2,
          (n) => n.includes('layers.0.'),
        ),
    ],
    [
      'columns of up_proj and v_proj, rows of gate_proj',
      (model) =>
        withColumns(
          model,
          tinyPlan(model, 2, (n) => n.endsWith('gate_proj')),
          2,
          (n) => /(up|v)_proj/.test(n),
        ),
    ],
    [
      'columns of down_proj of the upper layer only',
      (model) => withColumns(model, { modules: [] }, 2, (n) => n === 'model.layers.1.mlp.down_proj'),
    ],
  ];
  it.each(cases)('%s: equal automatic differentiation of a dense model', (_, planOf) => {
    const weights = tinyModel(3);
    const batch = tinyBatch(5, weights.config, [11, 5, 8]);
    const reference = denseLossAndGradients(tf, weights, batch);
    for (const memory of ['fast', 'low'] as const) {
      const model = createCausalLM(ops, weights, { memory });
      const plan = planOf(model);
      const parts = plan.modules.flatMap(partsOf);
      const { grads, lossSum } = model.lossAndGrads(batch, plan, 1);
      expect(Math.abs(lossSum - reference.loss) / reference.loss).toBeLessThan(2e-6);
      expect([...grads.keys()].sort()).toEqual(parts.map(({ key }) => key).sort());
      for (const part of parts) {
        const expected = partOf(reference.gradients.get(part.module.name) as Float32Array, part);
        expect(
          deviation(ops.runtime.readF32(grads.get(part.key) as NonNullable<ReturnType<typeof grads.get>>), expected),
          part.key,
        ).toBeLessThan(2e-5);
      }
      ops.runtime.release(...grads.values());
      model.dispose();
    }
  });

  it('are zero, of their shapes, where no token is labelled', () => {
    const weights = tinyModel(3);
    const model = createCausalLM(ops, weights);
    const plan = withColumns(model, tinyPlan(model, 3), 5, (n) => n.endsWith('k_proj'));
    const batch = tinyBatch(5, weights.config, [6]);
    const { grads } = model.lossAndGrads({ ...batch, labels: batch.labels.map(() => -100) }, plan, 1);
    for (const { key, ids, width } of plan.modules.flatMap(partsOf)) expect(grads.get(key)?.shape).toEqual([ids.length, width]);
    ops.runtime.release(...grads.values());
    model.dispose();
  });
});

describe('columns of a weight matrix', () => {
  it('are read and written in place, in a part of a fused matrix, and nothing else moves', () => {
    const weights = tinyModel(3);
    const model = createCausalLM(ops, weights);
    const [, k] = model.linears.filter(({ target }) => target === 'k_proj');
    if (!k) throw new Error('no k_proj');
    const columns = Int32Array.of(0, 5, k.inFeatures - 1);
    const whole = () => {
      const packed = model.linears.filter(({ tensor }) => tensor === k.tensor);
      return packed.flatMap((linear) => [
        ...model.readRows(
          linear,
          Int32Array.from({ length: linear.outFeatures }, (_, i) => i),
        ),
      ]);
    };
    const before = whole();
    const base = model.readColumns(k, columns);
    expect([...base]).toEqual(
      Array.from(columns).flatMap((c) => Array.from({ length: k.outFeatures }, (_, row) => before[(k.rowOffset + row) * k.inFeatures + c])),
    );
    const handle = ops.runtime.upload(
      base.map((value) => value + 1),
      [3, k.outFeatures],
      'f32',
    );
    model.writeColumns(k, columns, handle);
    ops.runtime.release(handle);
    const after = whole();
    const changed = new Set(after.flatMap((value, i) => (value === before[i] ? [] : [i])));
    const expected = Array.from({ length: k.outFeatures }, (_, row) =>
      Array.from(columns, (c) => (k.rowOffset + row) * k.inFeatures + c),
    ).flat();
    expect([...changed].sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b));
    model.dispose();
  });

  it.each([
    [[3, 3], /column 3 after 3/],
    [[2, 1], /column 1 after 2/],
    [[0, 4096], /within \[0, /],
    [[-1], /column -1 after -1/],
  ])('refuse %j', (columns, message) => {
    const model = createCausalLM(ops, tinyModel(3));
    const [linear] = model.linears;
    if (!linear) throw new Error('no linear');
    expect(() => model.readColumns(linear, Int32Array.from(columns))).toThrow(message);
    expect(() =>
      model.lossAndGrads(
        tinyBatch(1, model.config, [4]),
        { modules: [{ ...linear, indices: new Int32Array(0), columns: Int32Array.from(columns) }] },
        1,
      ),
    ).toThrow(message);
    model.dispose();
  });
});
