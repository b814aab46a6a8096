/** Inputs that scores see are those that the backward pass multiplies with, whatever the family. */
import type { DecoderConfig } from '@rowsmith/contracts';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Engine, openEngine } from '../engine.js';
import type { LinearInfo } from './causal-lm.js';
import { createCausalLM } from './decoder.js';
import { tinyModel } from './tiny-model.js';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
});

const families: readonly (readonly [string, Partial<DecoderConfig>])[] = [
  ['plain', {}],
  ['biases', { qkv_bias: true, o_bias: true, mlp_bias: true }],
  ['head norms', { qk_norm: true }],
  ['post norms, GELU, caps', { post_norms: true, activation: 'gelu_tanh', attention_softcap: 20, logit_softcap: 10 }],
];

describe('one predicted token after one token', () => {
  // Only the first position has a gradient: each linear's is g x^T, so that every row of it points along x.
  it.each(families)('%s: every row of a gradient points along the input', (_, change) => {
    const model = createCausalLM(engine.ops, tinyModel(17, change));
    const batch = { size: 1, length: 2, ids: Int32Array.of(5, 9), labels: Int32Array.of(-100, 9) };
    const { runtime } = engine.ops;
    const inputs = new Map<string, Float32Array>();
    model.visitInputs(batch, model.linears, (sharing, x) => {
      const first = runtime.readF32(x).slice(0, x.shape[1]);
      for (const { name } of sharing) inputs.set(name, first);
    });
    expect([...inputs.keys()].sort()).toEqual(model.linears.map(({ name }) => name).sort());
    let checked = 0;
    model.visitGradients(batch, 1, model.linears, ({ name, target, inFeatures }: LinearInfo, gradient) => {
      // A softmax over one key does not depend on queries and keys.
      if (target === 'q_proj' || target === 'k_proj') return;
      const x = inputs.get(name) as Float32Array;
      const g = runtime.readF32(gradient);
      const norm = (v: Float32Array) => Math.hypot(...v);
      const rows = Array.from({ length: g.length / inFeatures }, (__, i) => g.slice(i * inFeatures, (i + 1) * inFeatures));
      const largest = rows.reduce((best, row) => (norm(row) > norm(best) ? row : best));
      const cosine = largest.reduce((sum, v, j) => sum + v * (x[j] as number), 0) / (norm(largest) * norm(x));
      expect(Math.abs(cosine), name).toBeGreaterThan(1 - 1e-5);
      checked++;
    });
    expect(checked).toBe(10);
    model.dispose();
  });
});
