import type { DecoderConfig } from '@rowsmith/contracts';
import { describe, expect, it } from 'vitest';
import { checkConfig } from './check-config.js';
import { tinyConfig } from './tiny-model.js';

const longrope = (short: number, long: number, dim?: number): Partial<DecoderConfig> => ({
  ropes: [
    {
      theta: 1e4,
      ...(dim === undefined ? {} : { dim }),
      scaling: {
        kind: 'longrope',
        short_factor: new Array<number>(short).fill(1),
        long_factor: new Array<number>(long).fill(2),
        original_max_position_embeddings: 64,
        attention_factor: 1,
      },
    },
  ],
});

// Of two layers, six heads of six dimensions on two key/value heads.
describe('a description that contradicts itself is refused by field', () => {
  const refused: [string, Partial<DecoderConfig>, RegExp][] = [
    ['heads that do not divide', { n_kv_heads: 4 }, /6 heads cannot share 4/],
    ['an odd head', { head_dim: 5 }, /head_dim 5 is odd/],
    ['windows of other layers', { windows: [4] }, /windows: 1 entries for 2 layers/],
    ['ropes of other layers', { ropes: [{ theta: 1e4 }], rope_of_layer: [0, 0, 0] }, /rope_of_layer: 3 entries for 2 layers/],
    ['a rope that is not there', { ropes: [{ theta: 1e4 }], rope_of_layer: [0, 1] }, /rope_of_layer names rope 1 of 1/],
    ['an odd rope', { ropes: [{ theta: 1e4, dim: 3 }] }, /ropes\[0\]\.dim 3 must be even/],
    ['a rope wider than a head', { ropes: [{ theta: 1e4 }, { theta: 1e4, dim: 8 }] }, /ropes\[1\]\.dim 8 .* at most head_dim 6/],
    ['too few short factors', longrope(2, 3), /short_factor: 2 factors, expected 3/],
    ['long factors of the whole head', longrope(2, 3, 4), /long_factor: 3 factors, expected 2/],
  ];
  it.each(refused)('%s', (_, change, message) => {
    expect(() => checkConfig({ ...tinyConfig, ...change })).toThrow(
      expect.objectContaining({ code: 'invalid_model', message: expect.stringMatching(message) }),
    );
  });

  it.each([{}, { windows: [4, 0] }, { ropes: [{ theta: 1e4, dim: 4 }, { theta: 1 }], rope_of_layer: [1, 0] }, longrope(2, 2, 4)])(
    'takes %j',
    (change) => {
      expect(() => checkConfig({ ...tinyConfig, ...change })).not.toThrow();
    },
  );
});
