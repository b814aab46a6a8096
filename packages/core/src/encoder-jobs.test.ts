import type { CreateJobBody, RowSparseRequest } from '@rowsmith/contracts';
import { expect, it } from 'vitest';
import { type JobFacts, resolveJob } from './resolve-job.js';

/** BERT base. */
const model: JobFacts['model'] = {
  ...{ encoder: true, layers: 12, maxPositions: 512, heads: 12, kvHeads: 12 },
  rowsOf: { q_proj: 768, k_proj: 768, v_proj: 768, o_proj: 768, gate_proj: 0, up_proj: 3072, down_proj: 768 },
};
const { encoder: _, ...decoder } = { ...model, rowsOf: { ...model.rowsOf, gate_proj: 3072 } };
const resolve = (row_sparse: RowSparseRequest = {}, change: Partial<JobFacts> = {}) => {
  const body: CreateJobBody = { model: 'bert', training_file: 'file-1', row_sparse };
  return resolveJob(body, { model, trainingExamples: 8551, validationExamples: 1043, randomSeed: 1, ...change });
};
const faultOf = (row_sparse: RowSparseRequest, change: Partial<JobFacts> = {}) => {
  const resolved = resolve(row_sparse, change);
  return 'fault' in resolved ? resolved.fault.param : null;
};

it('auto is the recipe of the GLUE runs', () => {
  expect(resolve()).toMatchObject({
    hyperparameters: { n_epochs: 15, batch_size: 32 },
    // ceil(8551 / 32) x 15
    totalSteps: 268 * 15,
    rowSparse: {
      ...{ rows: { ratio: 0.05, round_to: 2 }, scorer: 'taylor', calibration_batches: 50, learning_rate: 2e-5, weight_decay: 0.01 },
      ...{ lr_schedule: 'linear', max_seq_length: 256, packing: false, layers: [0, 11] },
      targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'up_proj', 'down_proj'],
    },
  });
  expect(resolve({ learning_rate: 1e-4, rows: 8, packing: false })).toMatchObject({ rowSparse: { learning_rate: 1e-4, rows: 8 } });
  expect(resolve({}, { trainingExamples: 400_000 })).toMatchObject({ hyperparameters: { n_epochs: 3 } });
  expect(resolve({}, { model: decoder })).toMatchObject({
    hyperparameters: { batch_size: 4 },
    rowSparse: { learning_rate: 1e-3, rows: 16, packing: true },
  });
});

it('what an encoder cannot have is a fault that names the field', () => {
  expect(faultOf({ targets: ['gate_proj', 'up_proj'] })).toBe('row_sparse.targets');
  expect(faultOf({ packing: true })).toBe('row_sparse.packing');
  expect(faultOf({ train_on: 'all' })).toBe('row_sparse.train_on');
  expect(faultOf({ sample_prompts: ['hello'] })).toBe('row_sparse.sample_prompts');
  expect(faultOf({ targets: ['gate_proj', 'up_proj'], packing: true }, { model: decoder })).toBeNull();
});

it('shared rows of q, k and v', () => {
  expect(resolve()).not.toHaveProperty('rowSparse.attention_rows');
  expect(resolve({ attention_rows: 'separate' })).not.toHaveProperty('rowSparse.attention_rows');
  expect(resolve({ attention_rows: 'shared', head_groups: true })).toMatchObject({ rowSparse: { attention_rows: 'shared' } });
  expect(faultOf({ attention_rows: 'shared', channels: 'in' })).toBe('row_sparse.attention_rows');
  expect(faultOf({ attention_rows: 'shared', selection: 'global', rows: 8 })).toBe('row_sparse.attention_rows');
  expect(faultOf({ attention_rows: 'shared', targets: ['q_proj', 'k_proj'] })).toBe('row_sparse.attention_rows');
  expect(faultOf({ attention_rows: 'shared' }, { model: { ...decoder, kvHeads: 4 } })).toBe('row_sparse.attention_rows');
});

it('scores class by class', () => {
  expect(resolve()).not.toHaveProperty('rowSparse.label_aggregation');
  expect(resolve({ label_aggregation: 'max' })).toMatchObject({ rowSparse: { scorer: 'taylor', label_aggregation: 'max' } });
  expect(faultOf({ label_aggregation: 'mean', scorer: 'l2' })).toBe('row_sparse.label_aggregation');
  expect(faultOf({ label_aggregation: 'mean', scorer: 'taylor' }, { model: decoder })).toBe('row_sparse.label_aggregation');
});

it('coupled groups of an encoder: a dimension of a head is a unit, since none turns', () => {
  expect(faultOf({ channels: 'coupled', targets: ['q_proj', 'k_proj'], rows: 768 })).toBeNull();
  expect(faultOf({ channels: 'coupled', targets: ['q_proj', 'k_proj'], rows: 769 })).toBe('row_sparse.rows');
  expect(faultOf({ channels: 'coupled', targets: ['q_proj', 'k_proj'], rows: 385 }, { model: decoder })).toBe('row_sparse.rows');
});
