import type { LabelAggregationName } from '@rowsmith/contracts';
import { expect, test } from 'vitest';
import { aggregate, aggregateClasses } from './label-wise.js';

// Oracle O7: one row with the scores 1, 2 and 4 in three classes.
test.each<[LabelAggregationName, number]>([
  ['max', 4],
  ['mean', 7 / 3],
  ['quantiles_avg', 25 / 11],
  ['greater_quantiles_avg', 3],
  ['topk_avg', 3],
  ['topk_mean_avg', 8 / 3],
])('%s', (kind, expected) => {
  expect(aggregate(kind, [2, 4, 1], 2)).toBeCloseTo(expected, 6);
});

test('k is clipped to the number of classes; one class stays what it is', () => {
  expect(aggregate('topk_avg', [1, 2, 4])).toBeCloseTo(7 / 3, 6);
  for (const kind of ['max', 'mean', 'quantiles_avg', 'greater_quantiles_avg', 'topk_avg', 'topk_mean_avg'] as const)
    expect(aggregate(kind, [3])).toBe(3);
});

test('matrices are brought together channel by channel, each class with its weight', () => {
  const matrix = (out: number[], columns: number[]) => new Map([['w', { out: Float32Array.from(out), in: Float32Array.from(columns) }]]);
  const joined = aggregateClasses('max', [matrix([1, 6], [2]), matrix([2, 1], [1])], [0.5, 2]);
  expect(joined.get('w')).toEqual({ out: Float32Array.from([4, 3]), in: Float32Array.from([2]) });
});
