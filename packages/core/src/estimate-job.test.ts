import { expect, test } from 'vitest';
import { memoryOf, workOf } from './estimate-job.js';

const facts = {
  parameters: 1000,
  weightsBytes: 4000,
  hidden: 8,
  intermediate: 16,
  layers: 2,
  heads: 2,
  vocabulary: 64,
  trainable: 100,
  batch: 4,
  length: 10,
  tokens: 500,
  evaluationTokens: 100,
  lowMemory: false,
};
const overhead = 400 * 2 ** 20;

test('memory, added up by hand', () => {
  // 40 positions; input 40 x 8; inside 40 x (64 + 48) + 4 x 2 x 10 x 10; logits twice 40 x 64.
  const input = 40 * 8 * 4;
  const inside = (40 * 112 + 800) * 4;
  const expected = { weights: 4000, trained: 1600, activations: 2 * (input + inside), logits: 2 * 40 * 64 * 4, overhead };
  expect(memoryOf(facts)).toEqual({ ...expected, total: 4000 + 1600 + 2 * (input + inside) + 20480 + overhead });
  expect(memoryOf({ ...facts, lowMemory: true }).activations).toBe(2 * input + inside);
});

test('work: a forward and a backward pass for training, one more forward when layers are run again, one for evaluation', () => {
  const forward = 2 * 1000 + 4 * 2 * 8 * 5;
  expect(workOf(facts)).toBe(500 * 2 * forward + 100 * forward);
  expect(workOf({ ...facts, lowMemory: true })).toBe(500 * 3 * forward + 100 * forward);
});
