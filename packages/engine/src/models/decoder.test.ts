import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { StockOps } from '../ops/stock-ops.js';
import { openRuntime } from '../runtime/open-runtime.js';
import { runInNewProcess } from '../testing/run-in-new-process.js';
import type { Batch, CausalLM, RowPlan } from './causal-lm.js';
import { createCausalLM } from './decoder.js';
import { gradientDigest } from './gradient-digest.js';
import { tinyBatch, tinyPlan } from './tiny-batch.js';
import { tinyConfig, tinyModel } from './tiny-model.js';

let ops: StockOps;
beforeAll(async () => {
  ops = new StockOps(await openRuntime());
});

function step(model: CausalLM, batch: Batch, plan: RowPlan) {
  const { grads, ...sums } = model.lossAndGrads(batch, plan, 1);
  const rows = Array.from(grads.values(), (handle) => ops.runtime.readF32(handle));
  ops.runtime.release(...grads.values());
  return { sums, rows };
}

const closest = (a: Float32Array, b: Float32Array) => Math.max(...a.map((value, i) => Math.abs(value - (b[i] as number))));

describe('padding', () => {
  it.each([
    [12, 13],
    [12, 64],
    [12, 150],
  ])(
    'sequences of up to %i tokens padded to %i: same loss within 1e-6, gradients within 3e-6 of the largest (not bit-equal: other sizes, other blocking)',
    (_, length) => {
      const model = createCausalLM(ops, tinyModel(1));
      const plan = tinyPlan(model, 3);
      const tight = step(model, tinyBatch(2, tinyConfig, [12, 7]), plan);
      for (const padId of [0, 36]) {
        const padded = step(model, tinyBatch(2, tinyConfig, [12, 7], length, padId), plan);
        expect(padded.sums.labelled).toBe(tight.sums.labelled);
        expect(padded.sums.correct).toBe(tight.sums.correct);
        expect(Math.abs(padded.sums.lossSum - tight.sums.lossSum) / tight.sums.lossSum).toBeLessThan(1e-6);
        padded.rows.forEach((rows, i) => {
          const largest = Math.max(...(tight.rows[i] as Float32Array).map(Math.abs));
          expect(closest(rows, tight.rows[i] as Float32Array) / largest).toBeLessThan(3e-6);
        });
      }
      model.dispose();
    },
  );

  it('the ids of padding change no bit', () => {
    const model = createCausalLM(ops, tinyModel(1));
    const plan = tinyPlan(model, 3);
    expect(step(model, tinyBatch(2, tinyConfig, [12, 7], 20, 0), plan)).toEqual(
      step(model, tinyBatch(2, tinyConfig, [12, 7], 20, 36), plan),
    );
    model.dispose();
  });
});

describe('rows', () => {
  it('are read as written, bit for bit, and no other row changes a bit', () => {
    const weights = tinyModel(9);
    const model = createCausalLM(ops, weights);
    const before = new Map(model.linears.map((linear) => [linear.name, matrix(model, linear.name)]));
    const target = model.linears.find(({ name }) => name === 'model.layers.1.self_attn.k_proj');
    if (!target) throw new Error('no k_proj');
    const indices = Int32Array.of(1, 4, 11);
    // Bits that arithmetic would lose: a negative zero, a subnormal, a number that a float cannot add to another.
    const rows = new Float32Array(3 * target.inFeatures).map((_, i) => (i % 3 === 0 ? -0 : i % 3 === 1 ? 1e-42 : 16_777_217 / 3));
    const handle = ops.runtime.upload(rows, [3, target.inFeatures], 'f32', true);
    model.writeRows(target, indices, handle);
    ops.runtime.release(handle);
    expect(new Uint32Array(model.readRows(target, indices).buffer)).toEqual(new Uint32Array(rows.buffer));
    for (const linear of model.linears) {
      const expected = (before.get(linear.name) as Float32Array).slice();
      if (linear === target)
        for (const [i, row] of indices.entries())
          expected.set(rows.subarray(i * linear.inFeatures, (i + 1) * linear.inFeatures), row * linear.inFeatures);
      expect(digest(matrix(model, linear.name)), linear.name).toBe(digest(expected));
    }
    // The in-memory source stays the caller's.
    expect(weights.tensors).toEqual(tinyModel(9).tensors);
    model.dispose();
  });

  it('a matrix that was read keeps its values when rows are written afterwards', () => {
    // Rows of whole cache lines: slices share memory with the matrix then.
    const weights = tinyModel(9, { hidden_size: 32 });
    const model = createCausalLM(ops, weights);
    const name = 'model.layers.0.self_attn.q_proj';
    const handle = model.readMatrix(linearOf(model, name));
    write(model, name, Int32Array.of(0), new Float32Array(linearOf(model, name).inFeatures));
    expect(matrix(model, name).slice(0, 32)).toEqual(new Float32Array(32));
    expect(ops.runtime.readF32(handle).slice(0, 32)).toEqual(weights.tensors.get('layers.0.qkv')?.slice(0, 32));
    ops.runtime.release(handle);
    model.dispose();
  });

  it('written rows change the loss; the base rows put back restore it bit for bit', () => {
    const model = createCausalLM(ops, tinyModel(9));
    const batch = tinyBatch(3, tinyConfig, [9]);
    const before = model.loss(batch);
    for (const linear of model.linears) {
      const indices = Int32Array.of(0, 2);
      const base = model.readRows(linear, indices);
      write(
        model,
        linear.name,
        indices,
        base.map((value) => value * 1.5),
      );
      expect(model.loss(batch).lossSum, linear.name).not.toBe(before.lossSum);
      write(model, linear.name, indices, base);
      expect(model.loss(batch), linear.name).toEqual(before);
    }
    model.dispose();
  });

  it.each([
    ['descending', [3, 1]],
    ['repeated', [1, 1]],
    ['outside', [0, 12]],
    ['negative', [-1]],
  ])('refuses %s indices by name', (_, rows) => {
    const model = createCausalLM(ops, tinyModel(9));
    const target = model.linears.find(({ target }) => target === 'k_proj');
    if (!target) throw new Error('no k_proj');
    expect(() => model.readRows(target, Int32Array.from(rows))).toThrow(/k_proj: row/);
    const plan = { modules: [{ ...target, indices: Int32Array.from(rows) }] };
    expect(() => model.lossAndGrads(tinyBatch(3, tinyConfig, [4]), plan, 1)).toThrow(/k_proj: row/);
    model.dispose();
  });
});

describe('batches', () => {
  it.each([
    ['an id outside the vocabulary', { ids: Int32Array.of(1, 37, 2) }, /id 37 at position 1/],
    ['a label outside the vocabulary', { labels: Int32Array.of(-100, 2, -1) }, /label -1 at sequence 0, position 2/],
    ['too few labels', { labels: Int32Array.of(1) }, /1 labels/],
    ['a length beyond the positions', { length: 257, ids: new Int32Array(257), labels: new Int32Array(257) }, /256 positions/],
  ])('refuses %s', (_, change, message) => {
    const model = createCausalLM(ops, tinyModel(1));
    const batch = { size: 1, length: 3, ids: Int32Array.of(1, 2, 3), labels: Int32Array.of(-100, 2, 3), ...change };
    expect(() => model.loss(batch)).toThrow(message);
    model.dispose();
  });
});

describe('resources', () => {
  it('the count of handles is constant over steps and returns to the start when the model is disposed', () => {
    const weights = tinyModel(1);
    const round = (model: CausalLM) => {
      step(model, tinyBatch(2, tinyConfig, [12, 7]), tinyPlan(model, 3));
      step(
        model,
        tinyBatch(2, tinyConfig, [150, 7]),
        tinyPlan(model, 3, (name) => name.includes('layers.1')),
      );
      model.loss(tinyBatch(2, tinyConfig, [20]));
      model.generate(Int32Array.of(1, 2, 3), { maxNewTokens: 4, stopIds: [] });
      model.logits(Int32Array.of(1, 2, 3));
      expect(() => model.generate(Int32Array.of(1), { maxNewTokens: 4, stopIds: [], signal: AbortSignal.abort() })).toThrow(/aborted/);
    };
    const first = createCausalLM(ops, weights);
    round(first);
    const withModel = ops.runtime.handleCount;
    for (let i = 0; i < 3; i++) round(first);
    expect(ops.runtime.handleCount).toBe(withModel);
    first.dispose();
    const without = ops.runtime.handleCount;
    const second = createCausalLM(ops, weights);
    round(second);
    expect(ops.runtime.handleCount).toBe(withModel);
    second.dispose();
    expect(ops.runtime.handleCount).toBe(without);
  });
});

describe('determinism', () => {
  it('loss and gradients have the same bits in another process', async () => {
    const here = gradientDigest(ops);
    const there = await runInNewProcess(new URL('./gradient-digest.ts', import.meta.url), 'digestOfNewRuntime');
    expect(there).toBe(here);
  });
});

function linearOf(model: CausalLM, name: string) {
  const linear = model.linears.find((candidate) => candidate.name === name);
  if (!linear) throw new Error(`no ${name}`);
  return linear;
}

function matrix(model: CausalLM, name: string): Float32Array {
  const handle = model.readMatrix(linearOf(model, name));
  const values = ops.runtime.readF32(handle);
  ops.runtime.release(handle);
  return values;
}

function write(model: CausalLM, name: string, indices: Int32Array, rows: Float32Array): void {
  const linear = linearOf(model, name);
  const handle = ops.runtime.upload(rows, [indices.length, linear.inFeatures], 'f32', true);
  model.writeRows(linear, indices, handle);
  ops.runtime.release(handle);
}

const digest = (values: Float32Array) =>
  createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex');
