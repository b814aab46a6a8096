import { CreateJobBody, RowSparseRequest } from '@rowsmith/contracts';
import { expect, test } from 'vitest';
import { jobOptions } from './job-options.js';

const options = new Map(jobOptions().map((option) => [option.path, option]));

test('every field of the API is there', () => {
  for (const name of Object.keys(RowSparseRequest.properties)) expect(options.has(`row_sparse.${name}`), name).toBe(true);
  for (const name of Object.keys(CreateJobBody.properties))
    expect(
      [...options.keys()].some((p) => p === name || p.startsWith(`${name}.`)),
      name,
    ).toBe(true);
});

test('with values, limits and what they mean', () => {
  expect(options.get('priority')).toEqual({
    path: 'priority',
    type: 'auto | integer from 1 to 100',
    description: 'higher first; default 50',
  });
  expect(options.get('row_sparse.lr_schedule')?.type).toBe('auto | constant | linear | cosine | step');
  expect(options.get('row_sparse.max_seq_length')).toMatchObject({ type: 'auto | integer from 8 to 131072', description: 'tokens' });
  expect(options.get('method.supervised.hyperparameters.n_epochs')?.type).toBe('auto | integer from 1 to 50');
});
