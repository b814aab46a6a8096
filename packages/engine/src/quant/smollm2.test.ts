import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EncodedExample, type PackedModelIndex, targetNames } from '@rowsmith/contracts';
import { cacheFolder } from '@rowsmith/native';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Engine, openEngine } from '../engine.js';
import type { CausalLM } from '../models/causal-lm.js';
import { planRows } from '../rows/plan-rows.js';
import { toyRowSparse } from '../train/toy-run.js';
import { train } from '../train/train.js';
import type { Quantization } from './formats.js';

const folder = join(cacheFolder(), 'models', 'smollm2-135m-instruct');
/** Prompt and text of the logits fixture: English, of the kind the model was made for. */
const { prompts } = JSON.parse(readFileSync(new URL('../../fixtures/logits-fixture.json', import.meta.url), 'utf8')) as {
  readonly prompts: Readonly<Record<'chat' | 'text', { readonly ids: readonly number[] }>>;
};
const examples: EncodedExample[] = [prompts.text, prompts.chat].map(({ ids }) => ({
  ids: Int32Array.from(ids),
  labels: Int32Array.from(ids),
}));

let engine: Engine;
beforeAll(async () => {
  if (!existsSync(join(folder, 'index.json'))) throw new Error(`the demo model is not in ${folder}: run npm run setup`);
  engine = await openEngine();
});

async function withModel<T>(quantization: Quantization | undefined, body: (model: CausalLM) => T | Promise<T>): Promise<T> {
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as PackedModelIndex;
  const model = await engine.loadModel({ index, weightsPath: join(folder, 'weights.bin') }, { rowTensors: [], quantization });
  try {
    return await body(model);
  } finally {
    model.dispose();
  }
}
const meanLoss = (model: CausalLM): number => {
  const sums = examples.map(({ ids, labels }) => model.loss({ size: 1, length: ids.length, ids, labels }));
  return sums.reduce((sum, { lossSum }) => sum + lossSum, 0) / sums.reduce((sum, { labelled }) => sum + labelled, 0);
};

describe('SmolLM2-135M-Instruct on a quantised base', () => {
  it('int8 changes the loss of a few dozen tokens by less than 3 %, NF4 by less than 30 %, double quantisation by little more', async () => {
    const full = await withModel(undefined, meanLoss);
    const int8 = await withModel({ kind: 'int8', double: false }, meanLoss);
    const nf4 = await withModel({ kind: 'nf4', double: false }, meanLoss);
    const double = await withModel({ kind: 'nf4', double: true }, meanLoss);
    expect(Math.abs(int8 / full - 1)).toBeLessThan(0.03);
    expect(Math.abs(nf4 / full - 1)).toBeLessThan(0.3);
    expect(Math.abs(double / nf4 - 1)).toBeLessThan(0.02);
    expect(new Set([full, int8, nf4, double]).size).toBe(4);
  });

  it('a few steps on NF4 learn the text, and leave the quantised base as it was', async () => {
    await withModel({ kind: 'nf4', double: false }, async (model) => {
      const before = meanLoss(model);
      const rowSparse = {
        ...toyRowSparse,
        targets: [...targetNames],
        layers: [24, 29] as [number, number],
        learning_rate: 2e-3,
        max_steps: 3,
      };
      const losses: number[] = [];
      for await (const event of train({
        engine,
        model,
        plan: planRows(engine, model, rowSparse, 1),
        trainExamples: examples,
        validExamples: [],
        seed: 1,
        hyperparameters: { n_epochs: 1, batch_size: 2, learning_rate_multiplier: 1 },
        rowSparse,
        clock: () => 0,
      })) {
        if (event.type === 'step') losses.push(event.point.train_loss as number);
        if (event.type === 'done') expect(meanLoss(model)).toBeLessThan(0.9 * before);
      }
      expect(losses.at(-1)).toBeLessThan(losses[0] as number);
      expect(meanLoss(model)).toBe(before);
    });
  });
});
