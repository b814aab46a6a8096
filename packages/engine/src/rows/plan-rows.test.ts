import { targetNames } from '@rowsmith/contracts';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Engine, openEngine } from '../engine.js';
import { EngineError } from '../errors.js';
import type { CausalLM } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyModel } from '../models/tiny-model.js';
import { planFromIndices } from './plan-from-indices.js';
import { planRows } from './plan-rows.js';
import type { RowChoice } from './row-choice.js';
import { rowTensors } from './row-tensors.js';

let engine: Engine;
let model: CausalLM;
const weights = tinyModel(21);
beforeAll(async () => {
  engine = await openEngine();
  model = createCausalLM(engine.ops, weights);
});

const all: RowChoice = { rows: 3, scorer: 'l2', targets: [...targetNames], layers: [0, 1] };
const rowsOf = (choice: RowChoice, seed = 1) =>
  planRows(engine, model, choice, seed).modules.map(({ name, indices }) => [name, ...indices]);

describe('planRows', () => {
  it.each(['l1', 'l2'] as const)('%s: the rows with the largest sums of |w|^p of each linear, ascending', (scorer) => {
    const power = scorer === 'l1' ? 1 : 2;
    const plan = planRows(engine, model, { ...all, scorer }, 1);
    expect(plan.modules.map(({ name }) => name)).toEqual(model.linears.map(({ name }) => name));
    for (const { name, tensor, rowOffset, outFeatures, inFeatures, indices } of plan.modules) {
      const packed = weights.tensors.get(tensor) as Float32Array;
      const sums = Array.from({ length: outFeatures }, (_, row) =>
        packed
          .subarray((rowOffset + row) * inFeatures, (rowOffset + row + 1) * inFeatures)
          .reduce((sum, w) => sum + Math.abs(w) ** power, 0),
      );
      const largest = [...sums.keys()].sort((a, b) => (sums[b] as number) - (sums[a] as number)).slice(0, 3);
      expect([...indices], name).toEqual(largest.sort((a, b) => a - b));
    }
  });

  it('random: depends on the seed, not on which other linears are chosen', () => {
    const random: RowChoice = { ...all, scorer: 'random' };
    expect(rowsOf(random, 4)).toEqual(rowsOf(random, 4));
    expect(rowsOf(random, 4)).not.toEqual(rowsOf(random, 5));
    const indices = planRows(engine, model, random, 4).modules.map((module) => module.indices.join());
    expect(new Set(indices).size).toBeGreaterThan(10);
    const some = rowsOf({ ...random, targets: ['down_proj'], layers: [1, 1] }, 4);
    expect(rowsOf(random, 4)).toEqual(expect.arrayContaining(some));
    expect(some).toHaveLength(1);
  });

  it('takes all rows of a matrix that has fewer than asked', () => {
    for (const { indices, outFeatures } of planRows(engine, model, { ...all, rows: 1000 }, 1).modules)
      expect([...indices]).toEqual([...Array(outFeatures).keys()]);
  });

  it('leaves out a linear whose share rounds to nothing', () => {
    // k_proj and v_proj have 12 rows: floor(.3 x 12) = 3, a multiple of 4 below is 0. q_proj has 36: 10 -> 8; o, down 20: 6 -> 4; gate, up 28: 8.
    const plan = planRows(engine, model, { ...all, rows: { ratio: 0.3 } }, 1);
    const counts = Object.fromEntries(
      plan.modules.filter(({ layer }) => layer === 0).map(({ target, indices }) => [target, indices.length]),
    );
    expect(counts).toEqual({ q_proj: 8, o_proj: 4, gate_proj: 8, up_proj: 8, down_proj: 4 });
  });

  it.each([
    ['a target the model lacks', { targets: ['q_proj', 'lm_head' as 'q_proj'] }, 'unknown_target', 'row_sparse.targets'],
    ['an empty range of layers', { layers: [1, 0] }, 'invalid_layers', 'row_sparse.layers'],
    ['layers beyond the last', { layers: [0, 2] }, 'invalid_layers', 'row_sparse.layers'],
    ['a ratio that selects nothing', { rows: { ratio: 0.01 } }, 'no_rows_selected', 'row_sparse.rows'],
  ] as const)('refuses %s', (_, change, code, param) => {
    const refused = () => planRows(engine, model, { ...all, ...change } as RowChoice, 1);
    expect(refused).toThrow(EngineError);
    expect(refused).toThrow(expect.objectContaining({ errorClass: 'precheck', code, param }));
  });

  it('leaves no handle behind', () => {
    rowsOf(all);
    const before = engine.handleCount();
    rowsOf(all);
    expect(engine.handleCount()).toBe(before);
  });
});

it('planFromIndices gives the same plan without scoring', () => {
  const plan = planRows(engine, model, all, 1);
  const reversed = new Map([...plan.modules].reverse().map(({ name, indices }) => [name, indices]));
  expect(planFromIndices(model, reversed)).toEqual(plan);
  expect(() => planFromIndices(model, new Map([['model.layers.9.mlp.up_proj', Int32Array.of(0)]]))).toThrow(/layers.9/);
});

it('rowTensors names the fused matrices that hold the chosen linears, once', () => {
  expect(rowTensors(weights.config, { targets: ['q_proj', 'v_proj', 'down_proj'], layers: [1, 1] })).toEqual([
    'layers.1.qkv',
    'layers.1.down',
  ]);
});
