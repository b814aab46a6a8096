/** Scores class by class, brought together afterwards: a row that matters to one class only is not lost in the mean over all examples. */
import type { LabelAggregationName } from '@rowsmith/contracts';
import type { ChannelScores, ScoreMatrix } from '../score-matrix.js';

/** How many of the largest the top-k means take, or as many as there are classes. */
const topK = 5;

/**
 * One row's scores in every class to one number (Li & Bhaskara, arXiv 2502.11439): the largest; the mean; the mean of the 11 quantiles 0, 0.1, ..., 1; of
 * the 6 quantiles 0.5, ..., 1; of the k largest; half the sum of that and of the mean. Quantiles interpolate linearly.
 */
export function aggregate(kind: LabelAggregationName, scores: readonly number[], k = topK): number {
  const sorted = [...scores].sort((a, b) => a - b);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const quantiles = (from: number) => mean(Array.from({ length: 11 - from }, (_, i) => quantile(sorted, (from + i) / 10)));
  const largest = sorted.slice(-Math.min(k, sorted.length));
  switch (kind) {
    case 'max':
      return Math.max(...sorted);
    case 'mean':
      return mean(scores);
    case 'quantiles_avg':
      return quantiles(0);
    case 'greater_quantiles_avg':
      return quantiles(5);
    case 'topk_avg':
      return mean(largest);
    case 'topk_mean_avg':
      return (mean(largest) + mean(scores)) / 2;
  }
}

function quantile(sorted: readonly number[], q: number): number {
  const place = q * (sorted.length - 1);
  const below = Math.floor(place);
  const [low = 0, high = low] = sorted.slice(below, below + 2);
  return low + (place - below) * (high - low);
}

/** The same linears in every matrix; weights[c] multiplies the scores of class c before they are brought together. */
export function aggregateClasses(kind: LabelAggregationName, classes: readonly ScoreMatrix[], weights: readonly number[]): ScoreMatrix {
  const [first] = classes;
  const channel = (name: string, of: (scores: ChannelScores) => Float32Array, length: number) =>
    Float32Array.from({ length }, (_, i) =>
      aggregate(
        kind,
        classes.map((matrix, c) => (of(matrix.get(name) as ChannelScores)[i] as number) * (weights[c] as number)),
      ),
    );
  return new Map(
    Array.from(first ?? new Map<string, ChannelScores>(), ([name, scores]) => [
      name,
      { out: channel(name, (s) => s.out, scores.out.length), in: channel(name, (s) => s.in, scores.in.length) },
    ]),
  );
}
