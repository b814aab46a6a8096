/** Graph mode against the same operators run one by one. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Batch, CausalLM, RowPlan } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyBatch, tinyPlan, withColumns } from '../models/tiny-batch.js';
import { tinyModel } from '../models/tiny-model.js';
import type { ModelInMemory } from '../models/weights.js';
import { StockOps } from '../ops/stock-ops.js';
import { openRuntime } from '../runtime/open-runtime.js';
import type { Runtime } from '../runtime/runtime.js';
import { familyFixture, familyNames } from '../testing/family-fixture.js';

let runtime: Runtime;
let ops: StockOps;
beforeAll(async () => {
  runtime = await openRuntime();
  ops = new StockOps(runtime);
});

interface Step {
  readonly lossSum: number;
  readonly correct: number;
  readonly grads: ReadonlyMap<string, Float32Array>;
}

function stepOf(model: CausalLM, batch: Batch, plan: RowPlan, scale = 0.125): Step {
  const { grads, lossSum, correct } = model.lossAndGrads(batch, plan, scale);
  const read = new Map(Array.from(grads, ([key, handle]) => [key, runtime.readF32(handle).slice()]));
  runtime.release(...grads.values());
  return { lossSum, correct, grads: read };
}

/** Largest difference of a gradient's entry, relative to its largest. */
function difference(a: Step, b: Step): number {
  expect([...a.grads.keys()].sort()).toEqual([...b.grads.keys()].sort());
  let worst = 0;
  for (const [key, values] of a.grads) {
    const other = b.grads.get(key) as Float32Array;
    expect(values.length, key).toBe(other.length);
    const largest = other.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest, key).toBeGreaterThan(0);
    values.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value - (other[i] as number)) / largest);
    });
  }
  return worst;
}

/** Padded and packed, odd lengths, with rows beside and beyond the labels. */
const batchesOf = ({ config }: ModelInMemory): Batch[] => {
  const padded = tinyBatch(3, config, [7, 21, 12]);
  const { ids, labels } = tinyBatch(4, config, [37]);
  const packed = { size: 1, length: 37, ids, labels, lengths: Int32Array.of(5, 1, 31) };
  return [padded, packed, tinyBatch(5, config, [16, 9], 16)];
};

describe.each(familyNames)('%s', (name) => {
  it.each(['fast', 'low'] as const)('memory %s: losses and gradients are those of eager execution', (memory) => {
    const { model: source } = familyFixture(name);
    const eager = createCausalLM(ops, source, { memory });
    const graph = createCausalLM(ops, source, { memory, execution: 'graph' });
    const plan = tinyPlan(eager, 7);
    for (const batch of batchesOf(source)) {
      const [a, b] = [stepOf(graph, batch, plan), stepOf(eager, batch, plan)];
      expect(Math.abs(a.lossSum - b.lossSum) / b.lossSum).toBeLessThan(1e-6);
      expect(a.correct).toBe(b.correct);
      expect(difference(a, b)).toBeLessThan(5e-6);
      expect(Math.abs(graph.loss(batch).lossSum - b.lossSum) / b.lossSum).toBeLessThan(1e-6);
    }
    graph.dispose();
    eager.dispose();
  });
});

void [tinyModel, withColumns];
