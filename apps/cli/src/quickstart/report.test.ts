import type { MetricPoint } from '@rowsmith/contracts';
import { expect, test } from 'vitest';
import { losses } from './report.js';

const point = (step: number, loss: number | null, accuracy: number | null): MetricPoint => ({
  step,
  epoch: 0,
  train_loss: 1,
  train_mean_token_accuracy: null,
  valid_loss: loss,
  valid_mean_token_accuracy: accuracy,
  learning_rate: null,
  grad_norm: null,
  tokens: null,
  labelled_tokens: null,
  seconds: null,
});

test('first and last evaluation are shown, steps without one are passed over', () => {
  const text = losses([point(0, 2.5, 0.25), point(1, null, null), point(2, 1, 0.5), point(3, 0.5, 0.875)]);
  expect(text.split('\n').slice(1)).toEqual(['  before training     2.5000         25.0 %', '  after training      0.5000         87.5 %']);
});

test('a job without validation says so', () => {
  expect(losses([point(1, null, null)])).toBe('  no validation was recorded');
});
