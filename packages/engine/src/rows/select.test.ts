import { describe, expect, it } from 'vitest';
import { byMean } from './normalise.js';
import { rowCount } from './row-count.js';
import { selectLargest, selectLargestInGroups } from './select.js';

describe('selectLargest', () => {
  // l2 row scores of W = [[1,-2,3,0],[.5,.5,-.5,1],[2,0,1,-1]]
  it.each([
    [1, [0]],
    [2, [0, 2]],
    [3, [0, 1, 2]],
    [0, []],
  ])('%i of (14, 1.75, 6)', (k, expected) => expect([...selectLargest([14, 1.75, 6], k)]).toEqual(expected));

  it('ties go to the lower index', () => {
    expect([...selectLargest([15, 3, 3], 2)]).toEqual([0, 1]);
    expect([...selectLargest([1, 5, 1, 5, 5], 2)]).toEqual([1, 3]);
    expect([...selectLargest(new Float32Array(100), 3)]).toEqual([0, 1, 2]);
  });

  it('sorts indices as numbers', () => expect([...selectLargest([0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 8], 2)]).toEqual([2, 10]));
});

describe('selectLargestInGroups', () => {
  it('rising norms, two groups, rank 3: two of each group', () => {
    expect([...selectLargestInGroups([1, 2, 3, 4, 5, 6, 7, 8], 3, 2)]).toEqual([2, 3, 6, 7]);
  });

  it('twelve heads of 64, ratio 0.05 in twos: 38 asked, 730 frozen, 60 a head, so 4 rows a head and 48 in all', () => {
    const k = rowCount({ ratio: 0.05, round_to: 2 }, 768);
    const selected = selectLargestInGroups(
      Float32Array.from({ length: 768 }, (_, i) => i % 64),
      k,
      12,
      2,
    );
    expect(k).toBe(38);
    expect(selected).toHaveLength(48);
    expect([...selected.slice(0, 5)]).toEqual([60, 61, 62, 63, 124]);
  });

  it('one group is the plain selection; channels that do not divide are refused', () => {
    expect([...selectLargestInGroups([14, 1.75, 6], 2, 1)]).toEqual([0, 2]);
    expect(() => selectLargestInGroups([1, 2, 3], 1, 2)).toThrow(/3 channels cannot be cut into 2/);
  });
});

describe('byMean', () => {
  it('l1 and l2 of the same W', () => {
    expect([...byMean([6, 2.5, 4])].map((value) => Number(value.toFixed(6)))).toEqual([1.44, 0.6, 0.96]);
    expect([...byMean([14, 1.75, 6])].map((value) => Number(value.toFixed(6)))).toEqual([1.931034, 0.241379, 0.827586]);
  });

  it('leaves zeros alone', () => expect([...byMean([0, 0])]).toEqual([0, 0]));
});
