import { expect, test } from 'vitest';
import { jobBody } from './job-body.js';

test('only what was asked is sent; the rest is left to the service', () => {
  expect(jobBody({ model: 'm' }, 'file-a', null)).toEqual({ model: 'm', training_file: 'file-a' });
});

test('flags land where the API expects them', () => {
  const flags = {
    model: 'm',
    suffix: 's',
    seed: '0',
    epochs: '2',
    batchSize: 'auto',
    rows: '16',
    learningRate: '1e-3',
    metadata: ['team=a=b'],
    rowSparse: '{"rows":4,"targets":["q_proj"]}',
  };
  expect(jobBody(flags, 'file-a', 'file-b')).toEqual({
    model: 'm',
    training_file: 'file-a',
    validation_file: 'file-b',
    suffix: 's',
    seed: 0,
    metadata: { team: 'a=b' },
    method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 2, batch_size: 'auto' } } },
    row_sparse: { rows: 16, targets: ['q_proj'], learning_rate: 0.001 },
  });
});

test('rows below one are a ratio', () => {
  expect(jobBody({ model: 'm', rows: '0.024' }, 'f', null)['row_sparse']).toEqual({ rows: { ratio: 0.024 } });
});

test('what cannot be sent is refused with the flag', () => {
  expect(() => jobBody({ model: 'm', epochs: 'many' }, 'f', null)).toThrow(/--epochs must be a number/);
  expect(() => jobBody({ model: 'm', metadata: ['x'] }, 'f', null)).toThrow(/key=value/);
  expect(() => jobBody({ model: 'm', rowSparse: '{' }, 'f', null)).toThrow(/not JSON/);
});
