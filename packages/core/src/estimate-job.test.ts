import { expect, test } from 'vitest';
import { measuredSeconds, memoryOf, workOf } from './estimate-job.js';

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
  encoder: false,
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

test('an encoder: no logits, embeddings that are not multiplied, all tokens attended to', () => {
  const encoder = { ...facts, encoder: true };
  // 40 positions; a layer keeps 7 x 8 + 16; beside it 8 x 16 + 20 x 8; four blocks of 40 x 10 probabilities of 2 heads.
  const beside = 8 * 16 + 20 * 8;
  const blocks = 4 * 4 * 2 * 40 * 10;
  expect(memoryOf(encoder)).toMatchObject({ logits: 0, activations: 4 * 40 * (2 * 72 + beside) + blocks });
  expect(memoryOf({ ...encoder, lowMemory: true }).activations).toBe(4 * 40 * (2 * 8 + beside + 3 * 16 + 20 * 8) + blocks);
  const forward = 2 * (1000 - 64 * 8) + 4 * 2 * 8 * 10;
  expect(workOf(encoder)).toBe(500 * 2 * forward + 100 * forward);
});

test('BERT base, 16 x 128 tokens, 5 % of the rows: what was measured', () => {
  const bert = {
    ...{ parameters: 109_482_240, weightsBytes: 437_928_960, hidden: 768, intermediate: 3072, layers: 12, heads: 12, vocabulary: 30_522 },
    ...{ trainable: 0, batch: 16, length: 128, tokens: 1, evaluationTokens: 0, lowMemory: false, encoder: true },
  };
  // 12 layers of 7 widths and a feed-forward for 2048 tokens are 792 MiB, the backward pass of one 312, probabilities 48.
  expect(memoryOf(bert).activations / 2 ** 20).toBeCloseTo(12 * 66 + 312 + 48, 0);
});

test('measured: tokens over the rate, a fifth to each side, an evaluated token half of a trained one, and what comes beside the steps', () => {
  const speed = { slowest: 10, fastest: 20, overheadSeconds: 30 };
  expect(measuredSeconds(facts, speed)).toEqual({ low: Math.ceil(30 + 550 / 24), high: Math.ceil(30 + 550 / 8) });
  expect(measuredSeconds({ ...facts, lowMemory: true }, speed).high).toBe(Math.ceil(30 + (500 + 100 / 3) / 8));
});
