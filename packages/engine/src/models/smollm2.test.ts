import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PackedModelIndex } from '@rowsmith/contracts';
import { cacheFolder } from '@rowsmith/native';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StockOps } from '../ops/stock-ops.js';
import { openRuntime } from '../runtime/open-runtime.js';
import type { CausalLM } from './causal-lm.js';
import { createCausalLM } from './decoder.js';

interface Position {
  readonly top_ids: readonly number[];
  readonly top_logits: readonly number[];
  readonly strided: readonly number[];
  readonly mean: number;
  readonly std: number;
}
interface Fixture {
  readonly stride: number;
  readonly prompts: Readonly<Record<'chat' | 'text', { readonly ids: readonly number[]; readonly positions: readonly Position[] }>>;
  readonly greedy: { readonly ids: readonly number[]; readonly text: string; readonly stop_ids: readonly number[] };
}

/** Made by fixtures/make-logits-fixture.py with transformers. */
const fixture = JSON.parse(readFileSync(new URL('../../fixtures/logits-fixture.json', import.meta.url), 'utf8')) as Fixture;
const folder = join(cacheFolder(), 'models', 'smollm2-135m-instruct');

let model: CausalLM;
beforeAll(async () => {
  if (!existsSync(join(folder, 'index.json'))) throw new Error(`the demo model is not in ${folder}: run npm run setup`);
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as PackedModelIndex;
  // Nothing is written: every matrix is mapped.
  model = createCausalLM(new StockOps(await openRuntime()), { index, weightsPath: join(folder, 'weights.bin') }, { rowTensors: [] });
});
afterAll(() => model?.dispose());

describe('SmolLM2-135M-Instruct', () => {
  it.each(['chat', 'text'] as const)('%s prompt: logits of every position equal those of transformers within 1e-3', (label) => {
    const { ids, positions } = fixture.prompts[label];
    const V = model.config.vocab_size;
    const all = model.logits(Int32Array.from(ids));
    let worst = 0;
    positions.forEach((expected, t) => {
      const logits = all.subarray(t * V, (t + 1) * V);
      const compare = (id: number, value: number) => {
        worst = Math.max(worst, Math.abs((logits[id] as number) - value));
      };
      expected.top_ids.forEach((id, i) => {
        compare(id, expected.top_logits[i] as number);
      });
      expected.strided.forEach((value, i) => {
        compare(i * fixture.stride, value);
      });
      const mean = logits.reduce((sum, value) => sum + value, 0) / V;
      const variance = logits.reduce((sum, value) => sum + (value - mean) ** 2, 0) / V;
      expect(Math.abs(mean - expected.mean)).toBeLessThan(1e-3);
      expect(Math.abs(Math.sqrt(variance) - expected.std)).toBeLessThan(1e-3);
    });
    expect(worst).toBeLessThan(1e-3);
  });

  it('answers the question for the capital of France as transformers does', () => {
    expect(fixture.greedy.text).toBe('The capital of France is Paris.');
    const prompt = Int32Array.from(fixture.prompts.chat.ids);
    expect(Array.from(model.generate(prompt, { maxNewTokens: 24, stopIds: fixture.greedy.stop_ids }))).toEqual(fixture.greedy.ids);
  });

  it('rows of a mapped matrix cannot be written', () => {
    const linear = model.linears[0];
    if (!linear) throw new Error('no linear');
    const rows = { id: -1, shape: [1, linear.inFeatures], dtype: 'f32' } as const;
    expect(() => model.writeRows(linear, Int32Array.of(0), rows)).toThrow(/layers.0.qkv is mapped read-only/);
  });
});
