/** Graph mode against the same operators run one by one. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Batch, RowPlan, TrainableModel } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { createClassifier } from '../models/encoder.js';
import { isHead } from '../models/encoder-layout.js';
import { partsOf, type TrainedPart, writePart } from '../models/parts.js';
import { tinyBatch, tinyPlan, withColumns } from '../models/tiny-batch.js';
import { tinyModel } from '../models/tiny-model.js';
import type { UpdateDropout } from '../models/update-path.js';
import type { ModelInMemory } from '../models/weights.js';
import { StockOps } from '../ops/stock-ops.js';
import { openRuntime } from '../runtime/open-runtime.js';
import { philox } from '../runtime/philox.js';
import type { Runtime } from '../runtime/runtime.js';
import { encoderFixture } from '../testing/encoder-fixture.js';
import { familyFixture, familyNames } from '../testing/family-fixture.js';
import { GraphOps } from './graph-ops.js';

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

function stepOf(model: TrainableModel, batch: Batch, plan: RowPlan, dropout?: UpdateDropout): Step {
  const { grads, lossSum, correct } = model.lossAndGrads(batch, plan, 0.125, dropout);
  const read = new Map(Array.from(grads, ([key, handle]) => [key, runtime.readF32(handle).slice()]));
  runtime.release(...grads.values());
  return { lossSum, correct, grads: read };
}

const largestOf = (values: Float32Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/**
 * Largest difference of a gradient's entry, relative to the largest of its kind, or to a hundredth of the largest of all: a bias of the keys moves no
 * attention, so that its gradient is rounding alone.
 */
function difference(a: Step, b: Step): number {
  expect([...a.grads.keys()].sort()).toEqual([...b.grads.keys()].sort());
  const overall = Math.max(...Array.from(b.grads.values(), largestOf));
  expect(overall).toBeGreaterThan(1e-3);
  let worst = 0;
  for (const [key, values] of a.grads) {
    const other = b.grads.get(key) as Float32Array;
    expect(values.length, key).toBe(other.length);
    const size = Math.max(largestOf(other), overall / 100);
    values.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value - (other[i] as number)) / size);
    });
  }
  return worst;
}

function expectEqual(graph: TrainableModel, eager: TrainableModel, batch: Batch, plan: RowPlan, dropout?: UpdateDropout): void {
  const [a, b] = [stepOf(graph, batch, plan, dropout), stepOf(eager, batch, plan, dropout)];
  expect(Math.abs(a.lossSum - b.lossSum) / b.lossSum).toBeLessThan(1e-6);
  expect(a.correct).toBe(b.correct);
  expect(difference(a, b)).toBeLessThan(2e-5);
  const evaluated = eager.loss(batch).lossSum;
  expect(Math.abs(graph.loss(batch).lossSum - evaluated) / evaluated).toBeLessThan(1e-6);
}

/** Padded and packed, in sizes that are no bucket's, with rows that have no label. */
function batchesOf({ config }: ModelInMemory): { readonly padded: Batch; readonly packed: Batch } {
  const { ids, labels } = tinyBatch(4, config, [37]);
  return { padded: tinyBatch(3, config, [7, 21, 12]), packed: { size: 1, length: 37, ids, labels, lengths: Int32Array.of(5, 1, 31) } };
}

describe('decoders: losses and gradients are those of eager execution', () => {
  // Both plans of memory over the families, without each pair.
  it.each(familyNames.map((name, i) => [name, i % 2 === 0 ? 'fast' : 'low'] as const))('%s, memory %s', (name, memory) => {
    const { model: source } = familyFixture(name);
    const eager = createCausalLM(ops, source, { memory });
    const graph = createCausalLM(ops, source, { memory, execution: 'graph' });
    const plan = tinyPlan(eager, 7);
    const { padded, packed } = batchesOf(source);
    for (const batch of [padded, packed]) expectEqual(graph, eager, batch, plan);
    graph.dispose();
    eager.dispose();
  });

  const biased = tinyModel(8, { qkv_bias: true, o_bias: true, mlp_bias: true });

  it.each(['rows and columns', 'columns', 'upper layer', 'one linear'])('%s', (kind) => {
    const eager = createCausalLM(ops, biased);
    const graph = createCausalLM(ops, biased, { execution: 'graph' });
    const rows = tinyPlan(eager, 5, (name) =>
      kind === 'upper layer' ? name.includes('layers.1.') : kind !== 'one linear' || name.includes('1.mlp.down'),
    );
    const withBiases = { modules: rows.modules.map((module) => ({ ...module, biases: true })) };
    const plan = kind.includes('columns')
      ? withColumns(
          eager,
          rows,
          6,
          () => true,
          () => kind === 'columns',
        )
      : withBiases;
    for (const batch of Object.values(batchesOf(biased))) expectEqual(graph, eager, batch, plan);
    graph.dispose();
    eager.dispose();
  });

  it('dropout on the update path, other masks and updates at each step, one graph', () => {
    const eager = createCausalLM(ops, biased);
    const graph = createCausalLM(ops, biased, { execution: 'graph' });
    const plan = withColumns(eager, tinyPlan(eager, 5), 6);
    // A bucket's own size: masks are drawn for its rows.
    const batch = tinyBatch(5, biased.config, [16, 9], 16);
    for (const step of [0, 1]) {
      const update = ({ key, ids, width }: TrainedPart) =>
        runtime.upload(philox(step, key, 0).fill(new Float32Array(ids.length * width), -0.1, 0.1), [ids.length, width], 'f32');
      expectEqual(graph, eager, batch, plan, { rate: 0.3, seed: 4, step, micro: 0, update });
    }
    expect(graph.graphLoads).toBe(2);
    graph.dispose();
    eager.dispose();
  });
});

it.each(['fast', 'low'] as const)('a classifier, heads and biases included, memory %s', (memory) => {
  const { model: source, batch } = encoderFixture();
  const eager = createClassifier(ops, source, { memory });
  const graph = createClassifier(ops, source, { memory, execution: 'graph' });
  const modules = eager.linears.map((linear) => ({
    ...linear,
    indices: Int32Array.from({ length: isHead(linear) ? linear.outFeatures : 3 }, (_, i) => i),
    biases: true,
  }));
  expectEqual(graph, eager, batch, { modules });
  graph.dispose();
  eager.dispose();
});

describe('graphs', () => {
  const source = tinyModel(2);
  /** Matrices large enough to reside. */
  const wide = tinyModel(2, { hidden_size: 48, intermediate_size: 96, vocab_size: 90 });

  it('are one for each shape bucket and computation, and leave no handle and no session behind', () => {
    const [handles, sessions] = [runtime.handleCount, runtime.savedModels.count()];
    const model = createCausalLM(ops, source, { execution: 'graph' });
    const plan = tinyPlan(model, 5);
    const lengths = [[7, 21, 12], [24, 3, 21], [22, 22, 1], [9], [11]] as const;
    const round = () => {
      for (const [i, counts] of lengths.entries()) stepOf(model, tinyBatch(i, source.config, counts), plan);
    };
    round();
    // 3 x 24 tokens with up to 24, 32 or 48 labels, 1 x 16 with up to 16.
    const loads = model.graphLoads;
    expect(loads).toBeLessThanOrEqual(4);
    const after = runtime.handleCount;
    for (let i = 0; i < 3; i++) round();
    expect(model.graphLoads).toBe(loads);
    expect(runtime.handleCount).toBe(after);
    expect(runtime.savedModels.count()).toBe(sessions + loads);
    model.dispose();
    expect(runtime.savedModels.count()).toBe(sessions);
    // Tables of masks and constants of the process stay.
    expect(runtime.handleCount).toBeLessThan(handles + 40);
  });

  it('see rows that were written, and tables that were replaced by longer ones', () => {
    const [eager, graph] = [createCausalLM(ops, source), createCausalLM(ops, source, { execution: 'graph' })];
    const plan = tinyPlan(eager, 5);
    const [short, long] = [tinyBatch(1, source.config, [20, 12]), tinyBatch(2, source.config, [90])];
    const first = stepOf(graph, short, plan).lossSum;
    for (const model of [eager, graph])
      for (const module of plan.modules) {
        const rows = philox(7, module.name, 0).fill(new Float32Array(module.indices.length * module.inFeatures), -0.5, 0.5);
        runtime.scope(() =>
          model.writeRows(module, module.indices, runtime.upload(rows, [module.indices.length, module.inFeatures], 'f32')),
        );
      }
    for (const batch of [short, long, short]) expectEqual(graph, eager, batch, plan);
    expect(Math.abs(stepOf(graph, short, plan).lossSum - first)).toBeGreaterThan(0.1);
    graph.dispose();
    eager.dispose();
  });

  it('resident weights: the session follows the rows and columns that are written', () => {
    const eager = createCausalLM(ops, wide);
    const graph = createCausalLM(ops, wide, { execution: 'graph', graphWeights: 'resident' });
    const plan = withColumns(eager, tinyPlan(eager, 5), 6);
    const { padded, packed } = batchesOf(wide);
    for (const round of [0, 1, 2]) {
      expectEqual(graph, eager, round === 1 ? packed : padded, plan);
      for (const model of [eager, graph])
        runtime.scope(() => {
          for (const part of plan.modules.flatMap(partsOf)) {
            // Columns are written once only: they are assigned whole.
            if (part.axis === 'columns' && round > 0) continue;
            const values = philox(round, part.key, 0).fill(new Float32Array(part.ids.length * part.width), -0.3, 0.3);
            writePart(model, part, runtime.upload(values, [part.ids.length, part.width], 'f32'));
          }
        });
    }
    expectEqual(graph, eager, padded, plan);
    graph.dispose();
    eager.dispose();
  });

  it('precision bf16: as near to f32 as operands and results of 8 bits allow, and not equal to it', () => {
    const [eager, graph] = [
      createCausalLM(ops, source),
      createCausalLM(new GraphOps(runtime, 'bf16', false), source, { execution: 'graph' }),
    ];
    const plan = tinyPlan(eager, 5);
    const { packed } = batchesOf(source);
    const [a, b] = [stepOf(graph, packed, plan), stepOf(eager, packed, plan)];
    // 2^-8 of rounding an operand, through two layers.
    expect(Math.abs(a.lossSum - b.lossSum) / b.lossSum).toBeLessThan(2 ** -7);
    expect(difference(a, b)).toBeLessThan(0.1);
    expect(difference(a, b)).toBeGreaterThan(1e-4);
    graph.dispose();
    eager.dispose();
  });

  it('a quantised base is eager, and says so', () => {
    const options = { quantization: { kind: 'int8', double: false }, execution: 'graph' } as const;
    const model = createCausalLM(ops, source, options);
    expect(model.execution).toBe('eager');
    expect(model.graphLoads).toBe(0);
    expect(stepOf(model, batchesOf(source).packed, tinyPlan(model, 5)).lossSum).toBeGreaterThan(0);
    model.dispose();
  });
});
