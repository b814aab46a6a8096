import { describe, expect, it } from 'vitest';
import { candidates, likeliest, type Sampling, sampler } from './sampling.js';

const logits = Float32Array.of(1, 3, 2, 3, -50, 0);
const free: Sampling = { temperature: 1, topK: 0, topP: 1, seed: 3, step: 5, prompt: 0 };
const answer = (change: Partial<Sampling> = {}, count = 40) => {
  const choose = sampler({ ...free, ...change });
  return Array.from({ length: count }, () => choose(logits));
};

describe('sampling', () => {
  it('temperature 0 is greedy: the lower id of equal logits', () => {
    expect(likeliest(logits)).toBe(1);
    expect(new Set(answer({ temperature: 0 }))).toEqual(new Set([1]));
  });

  it('draws as often as softmax(logits / temperature) says, within 5 standard deviations', () => {
    const draws = 20_000;
    const weights = Array.from(logits, (value) => Math.exp(value / 2));
    const total = weights.reduce((a, b) => a + b, 0);
    const counts = new Map<number, number>();
    for (const id of answer({ temperature: 2 }, draws)) counts.set(id, (counts.get(id) ?? 0) + 1);
    weights.forEach((weight, id) => {
      const p = weight / total;
      expect(Math.abs((counts.get(id) ?? 0) - draws * p)).toBeLessThan(5 * Math.sqrt(draws * p * (1 - p)) + 1e-6);
    });
  });

  it('top_k keeps the k likeliest, top_p the fewest that hold the share', () => {
    const ids = (topK: number, topP: number) => candidates(logits, 1, topK, topP).map(({ id }) => id);
    expect(ids(3, 1)).toEqual([1, 3, 2]);
    expect(ids(0, 1)).toEqual([1, 3, 2, 0, 5, 4]);
    // Shares of e^3, e^3, e^2, e^1, e^0: 0.391, 0.391, 0.144, 0.053, 0.019.
    expect(ids(0, 0.39)).toEqual([1]);
    expect(ids(0, 0.5)).toEqual([1, 3]);
    expect(ids(0, 0.9)).toEqual([1, 3, 2]);
    expect(ids(0, 0.95)).toEqual([1, 3, 2, 0]);
    // Of the two that top_k leaves each has half.
    expect(ids(2, 0.5)).toEqual([1]);
    expect(new Set(answer({ topK: 2 }))).toEqual(new Set([1, 3]));
  });

  it('the same seed, step and prompt give the same answer; another of any gives another', () => {
    expect(answer()).toEqual(answer());
    for (const change of [{ seed: 4 }, { step: 6 }, { prompt: 1 }]) expect(answer(change)).not.toEqual(answer());
    expect(answer({}, 80).slice(0, 40)).toEqual(answer());
  });

  it('large logits overflow nothing', () => {
    const choose = sampler({ ...free, temperature: 0.01 });
    expect(choose(Float32Array.of(3e38, -3e38, 1))).toBe(0);
  });

  it.each([{ temperature: -1 }, { temperature: Number.NaN }, { topK: 1.5 }, { topP: 0 }, { topP: 1.1 }])('refuses %j', (change) => {
    expect(() => sampler({ ...free, ...change })).toThrow(expect.objectContaining({ code: 'invalid_options' }));
  });
});
