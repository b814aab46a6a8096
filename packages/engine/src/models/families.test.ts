/** Every family against transformers: logits, loss, row gradients and greedy decoding of a tiny random model. */
import type { DecoderConfig, Rope } from '@rowsmith/contracts';
import { loadKernels } from '@rowsmith/kernels';
import { beforeAll, describe, expect, it } from 'vitest';
import { FusedOps } from '../ops/fused-ops.js';
import { StockOps } from '../ops/stock-ops.js';
import { openRuntime } from '../runtime/open-runtime.js';
import type { Runtime } from '../runtime/runtime.js';
import { familyFixture, familyNames } from '../testing/family-fixture.js';
import type { Batch, CausalLM, RowPlan } from './causal-lm.js';
import { createCausalLM } from './decoder.js';

let runtime: Runtime;
const operators = { stock: (): StockOps => new StockOps(runtime), fused: (): StockOps => new FusedOps(runtime) };
beforeAll(async () => {
  runtime = await openRuntime();
  const kernels = await loadKernels();
  if (!kernels.loaded) throw new Error(`fused operators: ${kernels.reason}`);
});

const worst = (a: Float32Array, b: Float32Array): number => {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? Number.NaN))), 0);
};
const planOf = (model: CausalLM): RowPlan => ({
  modules: model.linears.map((linear) => ({
    ...linear,
    indices: Int32Array.of(0, Math.floor(linear.outFeatures / 2), linear.outFeatures - 1),
  })),
});

/** The description with one of its features taken away, each in turn. */
function withoutEachFeature(config: DecoderConfig): [string, DecoderConfig][] {
  const features = [
    ...(['activation', 'qkv_bias', 'o_bias', 'mlp_bias', 'qk_norm', 'post_norms', 'embed_scale', 'attention_scale'] as const),
    ...(['attention_softcap', 'logit_softcap', 'windows', 'rope_of_layer'] as const),
  ];
  const cases = features.flatMap((feature): [string, DecoderConfig][] => {
    const { [feature]: value, ...rest } = config;
    return value === undefined ? [] : [[feature, rest]];
  });
  const ropes = (change: (rope: Rope) => Rope) => config.ropes && { ...config, ropes: config.ropes.map(change) };
  if (config.ropes?.some(({ scaling }) => scaling)) cases.push(['rope scaling', ropes(({ scaling: _, ...rope }) => rope) as DecoderConfig]);
  const [first] = config.ropes ?? [];
  if (first?.scaling?.kind === 'longrope')
    for (const [name, change] of [
      ['long_factor', { long_factor: first.scaling.short_factor }],
      ['short_factor', { short_factor: first.scaling.long_factor }],
      ['attention_factor', { attention_factor: 1 }],
    ] as const)
      cases.push([name, { ...config, ropes: [{ ...first, scaling: { ...first.scaling, ...change } }] }]);
  return cases;
}

describe.each(familyNames)('%s', (name) => {
  const fixture = familyFixture(name);
  const batches = fixture.cases.map(
    ({ ids, labels }): Batch => ({ size: 1, length: ids.length, ids: Int32Array.from(ids), labels: Int32Array.from(labels) }),
  );

  it.for(['stock', 'fused'] as const)(
    '%s operators: logits, loss and row gradients within 1e-4 of transformers, fast and low',
    async (kind, { annotate }) => {
      const ops = operators[kind]();
      const errors = { logits: 0, loss: 0, gradients: 0, relative: 0 };
      for (const memory of ['fast', 'low'] as const) {
        const model = createCausalLM(ops, fixture.model, { memory });
        const plan = planOf(model);
        batches.forEach((batch, i) => {
          const expected = (key: string) => fixture.expected.get(`${i}.${key}`) as Float32Array;
          const loss = fixture.cases[i]?.loss as number;
          errors.logits = Math.max(errors.logits, worst(model.logits(batch.ids), expected('logits')));
          const { grads, lossSum } = model.lossAndGrads(batch, plan, 1);
          errors.loss = Math.max(errors.loss, Math.abs(lossSum - loss) / loss, Math.abs(model.loss(batch).lossSum - loss) / loss);
          for (const [linear, handle] of grads) {
            const gradient = expected(linear);
            const size = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
            expect(size, linear).toBeGreaterThan(1e-3);
            const error = worst(runtime.readF32(handle), gradient);
            errors.gradients = Math.max(errors.gradients, error);
            errors.relative = Math.max(errors.relative, error / size);
            runtime.release(handle);
          }
          expect(grads.size).toBe(model.linears.length);
        });
        model.dispose();
      }
      // Shown by --reporter verbose: the table of the README.
      await annotate(`${name} ${kind} ${JSON.stringify(errors)}`);
      expect(errors.logits).toBeLessThan(1e-4);
      expect(errors.loss).toBeLessThan(1e-6);
      expect(errors.gradients).toBeLessThan(1e-4);
      // Of the largest gradient of the linear: some are small.
      expect(errors.relative).toBeLessThan(2e-5);
    },
  );

  it.each(withoutEachFeature(fixture.model.config))('without %s the logits are others: the fixture shows it', (_, config) => {
    const model = createCausalLM(operators.fused(), { ...fixture.model, config });
    const differs = batches.some((batch, i) => worst(model.logits(batch.ids), fixture.expected.get(`${i}.logits`) as Float32Array) > 1e-2);
    expect(differs).toBe(true);
    model.dispose();
  });

  it('packed sequences have the losses and gradients of separate ones', () => {
    const model = createCausalLM(operators.fused(), fixture.model);
    const plan = planOf(model);
    const { ids, labels } = batches.at(-1) as Batch;
    const cut = [0, 19, 20, ids.length];
    const lengths = Int32Array.from(cut.slice(1), (end, i) => end - (cut[i] as number));
    const step = (batch: Batch) => {
      const { grads, lossSum } = model.lossAndGrads(batch, plan, 1);
      const rows = new Map(Array.from(grads, ([linear, handle]) => [linear, runtime.readF32(handle)]));
      runtime.release(...grads.values());
      return { lossSum, rows };
    };
    const whole = step({ size: 1, length: ids.length, ids, labels, lengths });
    const parts = cut.slice(1).map((end, i) => {
      const start = cut[i] as number;
      return step({ size: 1, length: end - start, ids: ids.slice(start, end), labels: labels.slice(start, end) });
    });
    expect(whole.lossSum).toBeCloseTo(
      parts.reduce((sum, { lossSum }) => sum + lossSum, 0),
      3,
    );
    for (const [linear, rows] of whole.rows) {
      const sum = rows.map((_, i) => parts.reduce((total, part) => total + (part.rows.get(linear)?.[i] ?? Number.NaN), 0));
      expect(worst(rows, sum), linear).toBeLessThan(1e-4);
    }
    model.dispose();
  });

  it.each(['stock', 'fused'] as const)('%s operators: greedy decoding gives the ids of transformers', (kind) => {
    const model = createCausalLM(operators[kind](), fixture.model);
    const made = model.generate(Int32Array.from(fixture.prompt), { maxNewTokens: fixture.greedy.length, stopIds: [] });
    expect(Array.from(made)).toEqual(fixture.greedy);
    model.dispose();
  });

  it('handles: none is left behind by a step, a model or a continuation', () => {
    const ops = operators.fused();
    const round = () => {
      const model = createCausalLM(ops, fixture.model, { memory: 'low' });
      for (const batch of batches) runtime.release(...model.lossAndGrads(batch, planOf(model), 1).grads.values());
      const after = runtime.handleCount;
      for (const batch of batches) runtime.release(...model.lossAndGrads(batch, planOf(model), 1).grads.values());
      expect(runtime.handleCount).toBe(after);
      model.generate(Int32Array.from(fixture.prompt), { maxNewTokens: 14, stopIds: [] });
      model.dispose();
      return runtime.handleCount;
    };
    const first = round();
    expect(round()).toBe(first);
  });
});
