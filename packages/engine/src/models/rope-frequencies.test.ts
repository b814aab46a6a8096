import type { Rope, RopeScaling } from '@rowsmith/contracts';
import { describe, expect, it } from 'vitest';
import { isLong, ropeFrequencies } from './rope-frequencies.js';

const close = (actual: Float32Array, expected: readonly number[]) => {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, i) => {
    expect((actual[i] as number) / value).toBeCloseTo(1, 6);
  });
};
const llama3: RopeScaling = { kind: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 100 };
const longrope: RopeScaling = {
  kind: 'longrope',
  short_factor: [1, 2],
  long_factor: [4, 10],
  original_max_position_embeddings: 8,
  attention_factor: 1.25,
};

describe('frequencies', () => {
  it('theta^(-2i/dim), of the whole head or of its first dimensions', () => {
    close(ropeFrequencies({ theta: 10_000 }, 8, false).frequencies, [1, 0.1, 0.01, 0.001]);
    close(ropeFrequencies({ theta: 10_000, dim: 4 }, 8, false).frequencies, [1, 0.01]);
  });

  it('linear: all divided', () => {
    const { frequencies, attentionFactor } = ropeFrequencies({ theta: 10_000, scaling: { kind: 'linear', factor: 4 } }, 4, false);
    close(frequencies, [0.25, 0.0025]);
    expect(attentionFactor).toBe(1);
  });

  it('llama3: long waves divided, short ones kept, those between mixed', () => {
    // Turns within the original 100 positions: 15.9, 2, 0.159. The second lies (2 - 1) / (4 - 1) of the way from divided to kept.
    const theta = (100 / (2 * Math.PI) / 2) ** 3;
    const [kept, mixed, divided] = [1, theta ** (-2 / 6), theta ** (-4 / 6)];
    expect((100 * mixed) / (2 * Math.PI)).toBeCloseTo(2, 9);
    close(ropeFrequencies({ theta, scaling: llama3 }, 6, false).frequencies, [kept, (mixed / 8) * (2 / 3) + mixed / 3, divided / 8]);
  });

  it('longrope: each by its own factor, of the set that the length asks for', () => {
    const rope: Rope = { theta: 100, scaling: longrope };
    close(ropeFrequencies(rope, 4, false).frequencies, [1, 0.1 / 2]);
    close(ropeFrequencies(rope, 4, true).frequencies, [1 / 4, 0.1 / 10]);
    expect(ropeFrequencies(rope, 4, true).attentionFactor).toBe(1.25);
    expect([8, 9].map((length) => isLong(rope, length))).toEqual([false, true]);
    expect(isLong({ theta: 100, scaling: llama3 }, 10_000)).toBe(false);
  });
});
