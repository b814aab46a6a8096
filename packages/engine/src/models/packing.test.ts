import type { EncodedExample } from '@rowsmith/contracts';
import { beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../engine.js';
import { StockOps } from '../ops/stock-ops.js';
import { philox } from '../runtime/philox.js';
import { collate, pack } from '../train/collate.js';
import type { Batch, CausalLM } from './causal-lm.js';
import { createCausalLM } from './decoder.js';
import { tinyPlan } from './tiny-batch.js';
import { tinyConfig, tinyModel } from './tiny-model.js';

let fused: StockOps;
let stock: StockOps;
beforeAll(async () => {
  const engine = await openEngine();
  if (engine.operators.kind !== 'fused') throw new Error('without the kernels this compares stock operators with themselves');
  fused = engine.ops;
  stock = new StockOps(fused.runtime);
});

/** Random tokens; the first third of each is not labelled. */
function examples(lengths: readonly number[]): EncodedExample[] {
  return lengths.map((length, i) => {
    const random = philox(9, 'packing', i);
    const ids = Int32Array.from({ length }, () => random.below(tinyConfig.vocab_size));
    return { ids, labels: ids.map((id, t) => (t < length / 3 ? -100 : id)) };
  });
}

function results(ops: StockOps, model: CausalLM, batch: Batch) {
  const { grads, ...sums } = model.lossAndGrads(batch, tinyPlan(model, 2), 1);
  const rows = new Map(Array.from(grads, ([name, handle]) => [name, ops.runtime.readF32(handle).slice()]));
  ops.runtime.release(...grads.values());
  return { sums, rows, loss: model.loss(batch) };
}

describe.each(['stock', 'fused'] as const)('packed sequences, %s operators', (kind) => {
  it.each([
    ['fast', [11, 5, 8]],
    ['low', [11, 5, 8]],
    // A sequence of one token; beyond one block of queries, with a boundary inside a block and one on its edge.
    ['fast', [1, 90, 37, 64, 3]],
    ['low', [1, 90, 37, 64, 3]],
  ] as const)('%s, lengths %j: losses and gradients are those of the padded form', (memory, lengths) => {
    const ops = kind === 'stock' ? stock : fused;
    const model = createCausalLM(ops, tinyModel(3), { memory });
    const padded = results(ops, model, collate(examples(lengths)));
    const packed = results(ops, model, pack(examples(lengths)));
    for (const [a, b] of [
      [packed.sums, padded.sums],
      [packed.loss, padded.loss],
    ] as const) {
      expect(a.labelled).toBe(b.labelled);
      expect(a.correct).toBe(b.correct);
      expect(Math.abs(a.lossSum / b.lossSum - 1)).toBeLessThan(1e-6);
    }
    for (const [name, expected] of padded.rows) {
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const off = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (packed.rows.get(name)?.[i] ?? Number.NaN))), 0);
      expect(largest, name).toBeGreaterThan(0);
      expect(off / largest, name).toBeLessThan(3e-6);
    }
    model.dispose();
  });
});

it('a token of one sequence does not reach another: changing the first sequence leaves the losses of the second as they are', () => {
  const model = createCausalLM(fused, tinyModel(3));
  const [first, second] = examples([7, 9]) as [EncodedExample, EncodedExample];
  const silent = (ids: Int32Array) => ({ ids, labels: new Int32Array(ids.length).fill(-100) });
  const loss = (ids: Int32Array) => model.loss(pack([silent(ids), second])).lossSum;
  expect(loss(first.ids.map((id) => (id + 1) % tinyConfig.vocab_size))).toBe(loss(first.ids));
  model.dispose();
});

it('the limit of the model holds for each sequence, not for the row; what does not fit together is refused', () => {
  const model = createCausalLM(fused, tinyModel(3, { max_position_embeddings: 8 }));
  expect(model.loss(pack(examples([8, 8, 5]))).labelled).toBeGreaterThan(0);
  expect(() => model.loss(pack(examples([5, 9])))).toThrow(/9 tokens, but the model has 8 positions/);
  const batch = pack(examples([3, 4]));
  const refused = (change: Partial<Batch>) =>
    expect(() => model.loss({ ...batch, ...change })).toThrow(expect.objectContaining({ code: 'invalid_batch' }));
  refused({ lengths: Int32Array.of(3, 3) });
  refused({ lengths: Int32Array.of(3, 5) });
  refused({ lengths: Int32Array.of(7, 0) });
  refused({ size: 2, length: 7, ids: new Int32Array(14), labels: new Int32Array(14) });
  model.dispose();
});
