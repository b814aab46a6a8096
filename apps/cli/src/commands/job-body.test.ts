import { expect, test } from 'vitest';
import { jobBody } from './job-body.js';

test('only what was asked is sent; the rest is left to the service', () => {
  expect(jobBody({ model: 'm' }, { training_file: 'file-a' })).toEqual({ model: 'm', training_file: 'file-a' });
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
  expect(jobBody(flags, { training_file: 'file-a', validation_file: 'file-b' })).toEqual({
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
  expect(jobBody({ model: 'm', rows: '0.024' })['row_sparse']).toEqual({ rows: { ratio: 0.024 } });
});

test('what cannot be sent is refused with the flag', () => {
  expect(() => jobBody({ model: 'm', epochs: 'many' })).toThrow(/--epochs must be a number/);
  expect(() => jobBody({ model: 'm', metadata: ['x'] })).toThrow(/key=value/);
  expect(() => jobBody({ model: 'm', rowSparse: '{' })).toThrow(/not JSON/);
});

test('a file is the base, flags win over it, --set over both; what nobody names stays', () => {
  const base = {
    model: 'a',
    seed: 1,
    metadata: { kept: 'yes' },
    row_sparse: { rows: 4, targets: ['q_proj'] },
    method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 3, batch_size: 2 } } },
  };
  const flags = { model: 'b', rows: '8', batchSize: '4', metadata: ['more=1'], set: ['row_sparse.rows=16', 'seed=null', 'metadata.n=7'] };
  expect(jobBody(flags, {}, base)).toEqual({
    model: 'b',
    seed: null,
    metadata: { kept: 'yes', more: '1', n: '7' },
    row_sparse: { rows: 16, targets: ['q_proj'] },
    method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 3, batch_size: 4 } } },
  });
  expect(jobBody({ epochs: '2' }, {}, { hyperparameters: { batch_size: 1 } })).toEqual({ hyperparameters: { batch_size: 1, n_epochs: 2 } });
});

test('the other flags', () => {
  const flags = {
    validationSplit: '0.1',
    skipInvalid: '5',
    priority: '90',
    deviceClass: 'cpu',
    maxDuration: '60',
    wandb: 'p',
    mlflow: 'e',
  };
  expect(jobBody(flags)).toEqual({
    validation_split: 0.1,
    invalid_sample_skip_percentage: 5,
    priority: 90,
    device_class: 'cpu',
    max_duration_seconds: 60,
    integrations: [
      { type: 'wandb', wandb: { project: 'p' } },
      { type: 'mlflow', mlflow: { experiment: 'e' } },
    ],
  });
});
