import { expect, test } from 'vitest';
import { metricsCsvHeader, metricsCsvRow } from './metrics-csv.js';

const point = {
  step: 3,
  epoch: 0.5,
  train_loss: 2.25,
  train_mean_token_accuracy: 0.5,
  valid_loss: null,
  valid_mean_token_accuracy: null,
  learning_rate: 0.0001,
  grad_norm: 1e-7,
  tokens: 512,
  labelled_tokens: 100,
  seconds: 1.5,
};

test('the columns that result files of OpenAI have come first', () => {
  expect(metricsCsvHeader()).toBe(
    'step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy,epoch,learning_rate,grad_norm,tokens,labelled_tokens\n',
  );
});

test('one line a step, null is empty, times are left out', () => {
  expect(metricsCsvRow(point)).toBe('3,2.25,0.5,,,0.5,0.0001,1e-7,512,100\n');
});
