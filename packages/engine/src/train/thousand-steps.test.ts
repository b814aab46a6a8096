import { expect, test } from 'vitest';
import { openEngine } from '../engine.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyModel } from '../models/tiny-model.js';
import { countingExamples, toyInput } from './toy-run.js';
import { train } from './train.js';

/** Big enough that one activation or block of logits lost at every step would be seen: the logits of a step are 200 KiB. */
const change = { vocab_size: 2000, intermediate_size: 256 };
const maxGrowthMiB = 24;

/** Of evenly spaced values, by least squares. */
function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const products = values.map((value, i) => (i - middle) * (value - mean));
  const squares = values.map((_, i) => (i - middle) ** 2);
  return products.reduce((a, b) => a + b, 0) / squares.reduce((a, b) => a + b, 0);
}

test('memory does not grow in 1,000 steps: as many handles as at first, and a resident size that stays', { timeout: 60_000 }, async () => {
  const engine = await openEngine();
  const model = createCausalLM(engine.ops, tinyModel(41, change));
  const input = toyInput(engine, {
    model,
    epochs: 40,
    trainExamples: countingExamples(100, 1),
    validExamples: countingExamples(8, 2),
    rowSparse: { max_steps: 1000, eval_every_steps: 250 },
  });
  const handles: number[] = [];
  const resident: number[] = [];
  for await (const { type } of train(input)) {
    if (type !== 'step') continue;
    handles.push(engine.handleCount());
    resident.push(process.memoryUsage.rss() / 2 ** 20);
  }
  expect(handles).toHaveLength(1000);
  // Constants are made once, in the first steps.
  expect(new Set(handles.slice(20))).toEqual(new Set([handles[20]]));
  const warm = resident.slice(200);
  expect(slope(warm) * warm.length).toBeLessThan(maxGrowthMiB);
});
