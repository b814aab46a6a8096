import { describe, expect, it } from 'vitest';
import { byMean } from './normalise.js';
import { selectLargest } from './select.js';

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

describe('byMean', () => {
  it('l1 and l2 of the same W', () => {
    expect([...byMean([6, 2.5, 4])].map((value) => Number(value.toFixed(6)))).toEqual([1.44, 0.6, 0.96]);
    expect([...byMean([14, 1.75, 6])].map((value) => Number(value.toFixed(6)))).toEqual([1.931034, 0.241379, 0.827586]);
  });

  it('leaves zeros alone', () => expect([...byMean([0, 0])]).toEqual([0, 0]));
});
