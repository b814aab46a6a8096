import { beforeAll, describe, expect, it } from 'vitest';
import { StockOps } from '../ops/stock-ops.js';
import { openRuntime } from '../runtime/open-runtime.js';
import { createCausalLM } from './decoder.js';
import { partsOf, readPart, writePart } from './parts.js';
import { tinyBatch, tinyPlan } from './tiny-batch.js';
import { tinyModel } from './tiny-model.js';

let ops: StockOps;
beforeAll(async () => {
  ops = new StockOps(await openRuntime());
});

it('of one linear, by hand: column sums of G[:, S]', () => {
  // G = [[1, 0, -1], [2, 1, 0]], S = {0, 2}.
  const { runtime } = ops;
  const sums = runtime.scope(() => {
    const g = runtime.upload(Float32Array.of(1, 0, -1, 2, 1, 0), [2, 3], 'f32');
    return [...runtime.readF32(ops.sumRows(ops.gatherColumns(g, runtime.upload(Int32Array.of(0, 2), [2], 'i32'))))];
  });
  expect(sums).toEqual([3, -1]);
});

describe('of a decoder', () => {
  const weights = tinyModel(4, { qkv_bias: true, o_bias: true, mlp_bias: true });
  const batch = tinyBatch(6, weights.config, [9, 12]);

  it('equal central differences of the loss, in every matrix', () => {
    const model = createCausalLM(ops, weights);
    const plan = { modules: tinyPlan(model, 4).modules.map((module) => ({ ...module, biases: true })) };
    const { grads } = model.lossAndGrads(batch, plan, 1);
    const parts = plan.modules.flatMap(partsOf).filter(({ axis }) => axis === 'biases');
    expect(parts).toHaveLength(14);
    for (const part of parts) {
      const handle = grads.get(part.key);
      if (!handle) throw new Error(part.key);
      expect(handle.shape).toEqual([part.ids.length, 1]);
      const direction = ops.runtime.readF32(handle).slice();
      const norm = Math.sqrt(direction.reduce((sum, value) => sum + value * value, 0));
      const base = readPart(model, part);
      const lossAt = (step: number) => {
        const moved = base.map((value, i) => value + (step / norm) * (direction[i] as number));
        const values = ops.runtime.upload(moved, [part.ids.length, 1], 'f32');
        writePart(model, part, values);
        ops.runtime.release(values);
        return model.loss(batch).lossSum;
      };
      const slope = (lossAt(0.01) - lossAt(-0.01)) / 0.02;
      lossAt(0);
      expect(Math.abs(slope - norm) / norm, part.key).toBeLessThan(5e-3);
      expect([...readPart(model, part)]).toEqual([...base]);
    }
    ops.runtime.release(...grads.values());
    model.dispose();
  });

  it('are refused where there is none, or where it may not be written', () => {
    const without = createCausalLM(ops, tinyModel(4));
    const [linear] = without.linears;
    if (!linear) throw new Error('no linear');
    expect(() => without.readBiases(linear, Int32Array.of(0))).toThrow(/q_proj has no bias/);
    without.dispose();
    const model = createCausalLM(ops, weights, { rowTensors: ['layers.0.qkv'] });
    const [biased] = model.linears;
    if (!biased) throw new Error('no linear');
    const values = ops.runtime.upload(Float32Array.of(1), [1, 1], 'f32');
    expect(() => model.writeBiases(biased, Int32Array.of(0), values)).toThrow(/layers.0.qkv_bias is mapped read-only/);
    ops.runtime.release(values);
    model.dispose();
  });
});
