import type { EncoderConfig } from '@rowsmith/contracts';
import { expect, it } from 'vitest';
import { estimateMemory, trainedNumbers } from './estimate-memory.js';

const base: EncoderConfig = {
  ...{ kind: 'encoder', family: 'bert', hidden_size: 768, n_layers: 12, n_heads: 12, intermediate_size: 3072, vocab_size: 30_522 },
  ...{ max_position_embeddings: 512, type_vocab_size: 2, norm_eps: 1e-12, activation: 'gelu', pooler: true, pad_token_id: 0 },
};
const question = {
  config: base,
  rowSparse: {
    rows: { ratio: 0.05, round_to: 2 },
    targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'up_proj', 'down_proj'] as (
      | 'q_proj'
      | 'k_proj'
      | 'v_proj'
      | 'o_proj'
      | 'up_proj'
      | 'down_proj'
    )[],
    layers: [0, 11] as [number, number],
    channels: 'out' as const,
    quantization: 'none' as const,
    gradient_accumulation_steps: 1,
  },
  ...{ tokens: 16 * 128, length: 128, labelled: 0, operators: 'fused' as const },
};
const mebibytes = (bytes: number) => bytes / 2 ** 20;

it('BERT base, 16 x 128 tokens: within 10 % of the peaks that were measured in six steps', () => {
  const fast = mebibytes(estimateMemory({ ...question, memory: 'fast', runtimeBytes: 347_115_520 - 25 * 2 ** 20 }).total);
  expect(Math.abs(fast / 2173 - 1)).toBeLessThan(0.1);
  const low = mebibytes(estimateMemory({ ...question, memory: 'low', runtimeBytes: 355_549_184 - 25 * 2 ** 20 }).total);
  expect(Math.abs(low / 1615 - 1)).toBeLessThan(0.1);
});

it('trained numbers: 5 % of the rows, rounded down to even, and whole heads', () => {
  // 38 of 768 and 152 of 3072 rows; pooler and a classifier of two classes with biases.
  const layer = 4 * 38 * 768 + 152 * 768 + 38 * 3072;
  expect(trainedNumbers(question)).toBe(12 * layer + 768 * 769 + 2 * 769);
});
