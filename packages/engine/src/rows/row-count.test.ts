import { describe, expect, it } from 'vitest';
import { rowCount } from './row-count.js';

describe('rowCount', () => {
  it.each([
    [768, 0.05, 2, 38],
    [4096, 0.024, 4, 96],
    [1024, 0.024, 4, 24],
    [14336, 0.024, 4, 344],
    [10, 0.3, 4, 0],
    [100, 0.29, 1, 29],
    [8, 1, 1, 8],
  ])('%i rows, ratio %f, multiples of %i: %i', (n, ratio, round_to, expected) => {
    expect(rowCount({ ratio, round_to }, n)).toBe(expected);
  });

  it('rounds to multiples of 4 unless told', () => expect(rowCount({ ratio: 0.05 }, 768)).toBe(36));

  it('rank: never more than there are', () => {
    expect(rowCount(8, 5)).toBe(5);
    expect(rowCount(8, 9)).toBe(8);
  });
});
