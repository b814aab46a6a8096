import { beforeAll, describe, expect, it } from 'vitest';
import { type Engine, engineOf, openEngine } from '../engine.js';
import type { Batch, CausalLM, LinearInfo, RowPlan, TrainableModel } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { linearsOf, packedShapes } from '../models/layout.js';
import { tinyBatch, tinyPlan } from '../models/tiny-batch.js';
import { tinyConfig, tinyModel } from '../models/tiny-model.js';
import type { ModelInMemory } from '../models/weights.js';
import { StockOps } from '../ops/stock-ops.js';
import { effectiveRows } from '../rows/apply-rows.js';
import { philox } from '../runtime/philox.js';
import { runInNewProcess } from '../testing/run-in-new-process.js';
import { eventsText } from '../train/toy-run.js';
import { train } from '../train/train.js';
import { nf4Block, type Quantization } from './formats.js';
import { quantisedInput, quantisedToy, quantizations, resumedRuns, wholeRun } from './quantised-run.js';

let engine: Engine;
let stock: Engine;
beforeAll(async () => {
  engine = await openEngine();
  stock = engineOf(new StockOps(engine.ops.runtime), { kind: 'stock', reason: 'the reference' });
});

const batch: Batch = tinyBatch(5, tinyConfig, [23, 9, 17]);
const random = (purpose: string, count: number) => philox(9, purpose, 0).fill(new Float32Array(count), -1, 1);

/** The same model in f32 that holds what quantisation leaves. */
function dequantised({ ops }: Engine, { config, tensors }: ModelInMemory, { kind }: Quantization): ModelInMemory {
  const { runtime } = ops;
  const linears = new Set(linearsOf(config).map(({ tensor }) => tensor));
  const values = new Map(tensors);
  for (const [name, [rows = 1, columns = 1]] of packedShapes(config)) {
    if (!linears.has(name)) continue;
    runtime.scope(() => {
      const w = runtime.upload(tensors.get(name) as Float32Array, [rows, columns], 'f32', true);
      const place = { start: 0, rows, columns };
      const back = {
        nf4: () => ops.dequantiseNf4(ops.quantiseNf4(w, nf4Block), nf4Block, place),
        int8: () => ops.dequantiseInt8(ops.quantiseInt8(w), place),
        bf16: () => ops.widenBf16(ops.roundBf16(w), place),
      };
      values.set(name, runtime.readF32(back[kind]()).slice());
    });
  }
  return { config, tensors: values };
}

function write({ ops }: Engine, model: CausalLM, linear: LinearInfo, axis: 'rows' | 'columns', ids: Int32Array, values: Float32Array) {
  ops.runtime.scope(() => {
    const handle = ops.runtime.upload(values, [ids.length, values.length / ids.length], 'f32', true);
    if (axis === 'rows') model.writeRows(linear, ids, handle);
    else model.writeColumns(linear, ids, handle);
  });
}

/** Rows everywhere; in o_proj and up_proj columns too. */
function planWithColumns(model: CausalLM): RowPlan {
  const { modules } = tinyPlan(model, 4);
  return {
    modules: modules.map((module) =>
      module.target === 'o_proj' || module.target === 'up_proj' ? { ...module, columns: Int32Array.of(0, 7, 13) } : module,
    ),
  };
}

function results(model: TrainableModel, plan: RowPlan): { sums: object; grads: Map<string, Float32Array> } {
  const { grads, ...sums } = model.lossAndGrads(batch, plan, 0.1);
  const values = new Map(Array.from(grads, ([name, handle]) => [name, engine.ops.runtime.readF32(handle).slice()]));
  engine.release(grads.values());
  return { sums, grads: values };
}

describe.each([
  ['nf4', 'fused'],
  ['nf4', 'stock'],
  ['int8', 'fused'],
  ['bf16', 'fused'],
  ['bf16', 'stock'],
] as const)('%s, %s operators', (kind, operators) => {
  const quantization = { kind, double: false };
  const by = () => (operators === 'fused' ? engine : stock);

  it('losses, gradients, logits and tokens are those of the dequantised model in f32, before and after rows and columns are written', () => {
    const full = createCausalLM(by().ops, dequantised(by(), tinyModel(3), quantization));
    const held = createCausalLM(by().ops, tinyModel(3), { quantization });
    const plan = planWithColumns(held);
    const before = results(held, plan);
    expect(before).toEqual(results(full, plan));
    const handles = engine.handleCount();
    for (const model of [full, held])
      for (const module of plan.modules) {
        // Columns, then rows: the later ones count where they cross.
        const columns = module.columns ?? new Int32Array(0);
        if (columns.length > 0)
          write(by(), model, module, 'columns', columns, random(`c ${module.name}`, columns.length * module.outFeatures));
        write(by(), model, module, 'rows', module.indices, random(`r ${module.name}`, module.indices.length * module.inFeatures));
      }
    const after = results(held, plan);
    expect(after).toEqual(results(full, plan));
    expect(after.sums).not.toEqual(before.sums);
    expect(held.logits(batch.ids.subarray(0, 11))).toEqual(full.logits(batch.ids.subarray(0, 11)));
    const options = { maxNewTokens: 5, stopIds: [] };
    expect(held.generate(Int32Array.of(3, 4), options)).toEqual(full.generate(Int32Array.of(3, 4), options));
    for (const module of plan.modules) {
      expect(held.readRows(module, module.indices)).toEqual(full.readRows(module, module.indices));
      if (module.columns) expect(held.readColumns(module, module.columns)).toEqual(full.readColumns(module, module.columns));
    }
    held.forgetWritten();
    expect(results(held, plan)).toEqual(before);
    expect(engine.handleCount() - handles).toBeLessThanOrEqual(4); // constants, made once
    held.dispose();
    full.dispose();
  });
});

it('what was not written reads back in full precision; rows that join others keep all', () => {
  const source = tinyModel(8);
  const full = createCausalLM(engine.ops, source);
  const held = createCausalLM(engine.ops, source, { quantization: { kind: 'nf4', double: false } });
  const linear = held.linears.find(({ target }) => target === 'v_proj');
  if (!linear) throw new Error('no linear');
  const all = Int32Array.from({ length: linear.outFeatures }, (_, row) => row);
  const matrix = (model: CausalLM) => {
    const handle = model.readMatrix(linear);
    const values = engine.ops.runtime.readF32(handle).slice();
    engine.release([handle]);
    return values;
  };
  expect(held.readRows(linear, all)).toEqual(full.readRows(linear, all));
  expect(held.readColumns(linear, Int32Array.of(1, 19))).toEqual(full.readColumns(linear, Int32Array.of(1, 19)));
  for (const [axis, ids] of [
    ['rows', Int32Array.of(2, 5)],
    ['columns', Int32Array.of(3)],
    ['rows', Int32Array.of(0, 5, 7)],
    ['columns', Int32Array.of(0, 3, 18)],
  ] as const)
    for (const model of [full, held])
      write(
        engine,
        model,
        linear,
        axis,
        ids,
        random(`${axis} ${ids}`, ids.length * (axis === 'rows' ? linear.inFeatures : linear.outFeatures)),
      );
  expect(held.readRows(linear, all)).toEqual(full.readRows(linear, all));
  expect(held.readColumns(linear, Int32Array.of(0, 1, 3, 18))).toEqual(full.readColumns(linear, Int32Array.of(0, 1, 3, 18)));
  expect(matrix(held)).toEqual(
    (source.tensors.get(linear.tensor) as Float32Array)
      .subarray(linear.rowOffset * linear.inFeatures)
      .subarray(0, linear.outFeatures * linear.inFeatures),
  );
  held.dispose();
  full.dispose();
});

describe.each(quantizations)('training on $kind, double $double', (quantization) => {
  it('learns; rows are base + D in every bit; afterwards the model is the quantised base again; handles stay', async () => {
    const input = quantisedInput(engine, quantization);
    const untrained = quantisedToy(engine, quantization);
    const losses: number[] = [];
    let handles = 0;
    for await (const event of train(input)) {
      if (event.type === 'step') {
        if (event.point.step === 2) handles = engine.handleCount();
        if (event.point.step > 2) expect(engine.handleCount()).toBe(handles);
        losses.push(event.point.train_loss as number);
      }
      if (event.type === 'done')
        for (const [name, rows] of effectiveRows(input.model, event.delta)) {
          const { indices, delta } = event.delta.get(name) ?? {};
          const linear = input.model.linears.find((candidate) => candidate.name === name);
          if (!linear || !indices || !delta) throw new Error(`no ${name}`);
          const base = untrained.readRows(linear, indices);
          expect(rows).toEqual(base.map((value, i) => value + (delta[i] as number)));
        }
    }
    expect(losses).toHaveLength(12);
    expect(losses.at(-1)).toBeLessThan(0.8 * (losses[0] as number));
    expect(results(input.model, input.plan)).toEqual(results(untrained, input.plan));
    untrained.dispose();
    input.model.dispose();
  });
});

it('5 steps and the rest in two new processes: byte for byte the uninterrupted runs', async () => {
  const module = new URL('./quantised-run.ts', import.meta.url);
  const states = await runInNewProcess(module, 'firstParts');
  const rest = JSON.parse(await runInNewProcess(module, 'secondParts', states)) as string[];
  expect(rest).toHaveLength(resumedRuns.length);
  for (const [i, run] of resumedRuns.entries()) {
    const whole = await wholeRun(engine, run);
    const from = whole.findIndex((event) => event.type === 'step' && event.point.step === 6);
    expect(rest[i]).toBe(eventsText(whole.slice(from)));
    expect(rest[i]).toContain('"done"');
  }
});

it('selected rows are exact from step 0: the first evaluation is of the base with those rows in full precision', async () => {
  const quantization: Quantization = { kind: 'nf4', double: false };
  const input = quantisedInput(engine, quantization);
  const expected = quantisedToy(engine, quantization);
  const plain = expected.loss(batch).lossSum;
  for (const module of input.plan.modules)
    write(engine, expected, module, 'rows', module.indices, expected.readRows(module, module.indices));
  const exact = expected.loss(batch).lossSum;
  for await (const event of train(input)) {
    if (event.type !== 'evaluation') continue;
    expect(input.model.loss(batch).lossSum).toBe(exact);
    break;
  }
  expect(exact).not.toBe(plain);
  expect(input.model.loss(batch).lossSum).toBe(plain);
  expected.dispose();
  input.model.dispose();
});

it('a weight that is not finite is refused by name, and nothing is left', () => {
  const source = tinyModel(2);
  const spoilt = (source.tensors.get('layers.1.o') as Float32Array).slice();
  spoilt[100] = Number.NaN;
  const before = engine.handleCount();
  const tensors = new Map(source.tensors).set('layers.1.o', spoilt);
  for (const quantization of quantizations)
    expect(() => createCausalLM(engine.ops, { ...source, tensors }, { quantization })).toThrow(/layers\.1\.o: a weight is not finite/);
  expect(engine.handleCount()).toBe(before);
});
