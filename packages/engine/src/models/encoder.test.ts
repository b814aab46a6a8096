import { biasesKey } from '@rowsmith/contracts';
import { beforeAll, expect, it } from 'vitest';
import { type Engine, openEngine } from '../engine.js';
import { newClassifier } from '../rows/new-classifier.js';
import { encoderFixture, fixtureConfig } from '../testing/encoder-fixture.js';
import type { RowModule, SequenceClassifier } from './causal-lm.js';
import { createCausalLM } from './decoder.js';
import { createClassifier } from './encoder.js';
import { isHead } from './encoder-layout.js';

const fixture = encoderFixture();
let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
});

const three = (count: number) => Int32Array.of(0, Math.floor(count / 2), count - 1);
const largest = (values: Iterable<number>) => Math.max(0, ...values);
const difference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  largest(Array.from({ length: Math.max(a.length, b.length) }, (_, i) => Math.abs((a[i] ?? Number.NaN) - (b[i] ?? Number.NaN))));

/** Three rows of each linear of the layers, and the whole heads. */
const modules = (model: SequenceClassifier): RowModule[] =>
  model.linears.map((linear) => ({
    ...linear,
    indices: isHead(linear) ? Int32Array.from({ length: linear.outFeatures }, (_, i) => i) : three(linear.outFeatures),
    biases: true,
  }));

it.each(['fast', 'low'] as const)('logits, loss and gradients are those of transformers (memory %s)', (memory) => {
  const model = createClassifier(engine.ops, fixture.model, { memory });
  // Literals of formulas are made once and stay.
  engine.release(model.lossAndGrads(fixture.batch, { modules: modules(model) }, 1).grads.values());
  const handles = engine.handleCount();
  expect(difference(model.classLogits(fixture.batch), fixture.expected.get('logits') ?? [])).toBeLessThan(1e-5);
  const { grads, lossSum, labelled } = model.lossAndGrads(fixture.batch, { modules: modules(model) }, 1);
  expect(labelled).toBe(4);
  expect(Math.abs(lossSum - fixture.loss)).toBeLessThan(1e-5);
  expect(model.loss(fixture.batch).lossSum).toBe(lossSum);
  const differences = [...grads].map(([key, handle]) => {
    const expected = fixture.expected.get(key.replace(/\.biases$/, '.bias')) ?? [];
    return [key, difference(engine.ops.runtime.readF32(handle), expected), largest(Array.from(expected, Math.abs))] as const;
  });
  // 6 linears of 2 layers and 2 heads, rows and biases.
  expect(differences).toHaveLength(28);
  expect(largest(differences.map(([, worst]) => worst))).toBeLessThan(1e-4);
  // A key's bias shifts all scores of a query alike: its gradient is zero, and only rounding is compared.
  for (const [key, worst, size] of differences)
    if (!key.includes('self.key.biases')) expect(worst, `${key} of ${size}`).toBeLessThan(2e-5 * Math.max(size, 0.1));
  engine.release(grads.values());
  expect(engine.handleCount()).toBe(handles);
  model.dispose();
});

it('sequences alone give the losses that they have beside longer ones', () => {
  const model = createClassifier(engine.ops, fixture.model);
  fixture.losses.forEach((expected, row) => {
    const { length, sequences } = fixture.batch;
    const count = sequences?.counts[row] ?? 0;
    const cut = (values: Int32Array | undefined) => (values ?? new Int32Array(0)).slice(row * length, row * length + count);
    const alone = {
      ...{ size: 1, length: count, ids: cut(fixture.batch.ids), labels: cut(fixture.batch.labels) },
      sequences: {
        counts: Int32Array.of(count),
        types: cut(sequences?.types),
        classes: (sequences?.classes ?? new Int32Array(0)).slice(row, row + 1),
      },
    };
    expect(Math.abs(model.loss(alone).lossSum - expected)).toBeLessThan(1e-5);
  });
  model.dispose();
});

it('gradients of whole matrices and inputs of linears are visited once each, without padding', () => {
  const model = createClassifier(engine.ops, fixture.model);
  const chosen = model.linears.filter((linear) => !isHead(linear));
  const { grads } = model.lossAndGrads(fixture.batch, { modules: modules(model) }, 0.5);
  const seen: string[] = [];
  model.visitGradients(fixture.batch, 0.5, chosen, (linear, gradient) => {
    seen.push(linear.name);
    const rows = engine.ops.runtime.readF32(gradient);
    const first = engine.ops.runtime.readF32(grads.get(linear.name) as never).slice(0, linear.inFeatures);
    expect(difference(rows.slice(0, linear.inFeatures), first)).toBeLessThan(1e-6);
  });
  expect(seen.sort()).toEqual(chosen.map(({ name }) => name).sort());
  engine.release(grads.values());
  const inputs: number[] = [];
  model.visitInputs(fixture.batch, chosen, (sharing, x) => inputs.push(sharing.length, x.shape[0] ?? 0));
  // 9 + 14 + 2 + 11 tokens, four inputs a layer.
  expect(inputs).toEqual([3, 36, 1, 36, 1, 36, 1, 36, 3, 36, 1, 36, 1, 36, 1, 36]);
  model.dispose();
});

it('gradients of columns are those of whole matrices; with dropout they are those of central differences', () => {
  const model = createClassifier(engine.ops, fixture.model);
  const { runtime } = engine.ops;
  const up = model.linears.find(({ target, layer }) => target === 'up_proj' && layer === 0) as RowModule;
  const plan = { modules: [{ ...up, indices: Int32Array.of(3), columns: Int32Array.of(1, 7) }] };
  const zero = (count: number, width: number) => runtime.upload(new Float32Array(count * width).fill(0.01), [count, width], 'f32');
  const updates = new Map([
    ['rows', zero(1, up.inFeatures)],
    ['columns', zero(2, up.outFeatures)],
  ]);
  const dropout = { rate: 0.4, seed: 3, step: 2, micro: 0, update: ({ axis }: { axis: string }) => updates.get(axis) as never };
  const { grads } = model.lossAndGrads(fixture.batch, plan, 1, dropout);
  const eps = 1e-2;
  const lossWith = (change: number) => {
    const row = model.readRows(up, Int32Array.of(3));
    const d = new Float32Array(up.inFeatures).fill(0.01);
    d[5] = 0.01 + change;
    const moved = row.slice();
    moved[5] = (row[5] as number) + change;
    const write = (values: Float32Array) =>
      runtime.scope(() => model.writeRows(up, Int32Array.of(3), runtime.upload(values, [1, up.inFeatures], 'f32', true)));
    write(moved);
    const update = runtime.upload(d, [1, up.inFeatures], 'f32');
    const at = { ...dropout, update: ({ axis }: { axis: string }) => (axis === 'rows' ? update : updates.get(axis)) as never };
    const { lossSum, grads: unused } = model.lossAndGrads(fixture.batch, plan, 1, at);
    runtime.release(update, ...unused.values());
    write(row);
    return lossSum;
  };
  const slope = (lossWith(eps) - lossWith(-eps)) / (2 * eps);
  expect(Math.abs(slope - (runtime.readF32(grads.get(up.name) as never)[5] ?? Number.NaN))).toBeLessThan(2e-4);
  runtime.release(...updates.values(), ...grads.values());
  const plain = model.lossAndGrads(fixture.batch, plan, 1).grads;
  model.visitGradients(fixture.batch, 1, [up], (_, gradient) => {
    const whole = runtime.readF32(gradient);
    const column = Float32Array.from({ length: up.outFeatures }, (__, row) => whole[row * up.inFeatures + 7] as number);
    expect(difference(runtime.readF32(plain.get(`${up.name}.columns`) as never).slice(up.outFeatures), column)).toBeLessThan(1e-6);
  });
  runtime.release(...plain.values());
  model.dispose();
});

it('a new classifier begins as zeros; its seeded start has the deviation 0.02', () => {
  const model = createClassifier(engine.ops, fixture.model, { classes: 5 });
  expect([...model.fresh].map(({ name }) => name)).toEqual(['classifier']);
  const { lossSum } = model.loss(fixture.batch);
  expect(lossSum).toBeCloseTo(4 * Math.log(5), 5);
  const plain = createClassifier(engine.ops, { ...fixture.model, config: { ...fixtureConfig, pooler: false } }, { classes: 2 });
  const start = newClassifier(plain, 9);
  expect([...start.keys()]).toEqual(['bert.pooler.dense', 'classifier']);
  const values = Array.from(start.get('bert.pooler.dense')?.delta ?? []);
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  expect(Math.abs(mean)).toBeLessThan(3 * (0.02 / Math.sqrt(values.length)));
  expect(Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length)).toBeCloseTo(0.02, 2);
  expect(start).toEqual(newClassifier(plain, 9));
  expect(start).not.toEqual(newClassifier(plain, 10));
  for (const each of [model, plain]) each.dispose();
});

it('what cannot be is refused by name', () => {
  expect(() => createCausalLM(engine.ops, fixture.model as never)).toThrow(/is an encoder \(bert\)/);
  expect(() => createClassifier(engine.ops, { ...fixture.model, config: { ...fixtureConfig, n_heads: 5 } })).toThrow(/5 heads/);
  const { classes: _, ...without } = fixtureConfig;
  expect(() => createClassifier(engine.ops, { ...fixture.model, config: without })).toThrow(/hold no classifier/);
  const model = createClassifier(engine.ops, fixture.model);
  const change = (sequences: object) => () =>
    model.loss({
      ...fixture.batch,
      sequences: { ...(fixture.batch.sequences as NonNullable<typeof fixture.batch.sequences>), ...sequences },
    });
  expect(change({ classes: Int32Array.of(0, 1, 3, 0) })).toThrow(/class 3 at 2/);
  expect(change({ counts: Int32Array.of(9, 15, 2, 11) })).toThrow(/length 15 at 1/);
  expect(change({ types: fixture.batch.ids })).toThrow(/token type/);
  const { sequences: __, ...bare } = fixture.batch;
  expect(() => model.loss(bare)).toThrow(/padded sequences/);
  model.dispose();
});

it('biases are read and written', () => {
  const model = createClassifier(engine.ops, fixture.model);
  const classifier = model.linears.at(-1) as RowModule;
  const before = model.readBiases(classifier, Int32Array.of(0, 2));
  const bias = fixture.model.tensors.get('classifier_bias') as Float32Array;
  expect(Array.from(before)).toEqual([bias[0], bias[2]]);
  engine.ops.runtime.scope(() =>
    model.writeBiases(classifier, Int32Array.of(2), engine.ops.runtime.upload(Float32Array.of(4), [1], 'f32')),
  );
  expect(Array.from(model.readBiases(classifier, Int32Array.of(2)))).toEqual([4]);
  expect(biasesKey(classifier.name)).toBe('classifier.biases');
  model.dispose();
});
