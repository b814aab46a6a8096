import { type CreateJobBody, targetNames } from '@rowsmith/contracts';
import { describe, expect, test } from 'vitest';
import { type JobFacts, resolveJob, stepsOf } from './resolve-job.js';

const rowsOf = { q_proj: 576, k_proj: 192, v_proj: 192, o_proj: 576, gate_proj: 1536, up_proj: 1536, down_proj: 576 };
const facts: JobFacts = {
  trainingExamples: 100,
  validationExamples: 10,
  model: { layers: 30, maxPositions: 2048, rowsOf, heads: 9, kvHeads: 3 },
  randomSeed: 77,
};
const body: CreateJobBody = { model: 'm', training_file: 'file-x' };

test('everything automatic', () => {
  expect(resolveJob(body, facts)).toEqual({
    seed: 77,
    hyperparameters: { n_epochs: 3, batch_size: 4, learning_rate_multiplier: 1 },
    totalSteps: 75,
    rowSparse: {
      rows: 16,
      scorer: 'l2',
      calibration_batches: 50,
      scoring_memory_mb: 0,
      zo_estimates: 2,
      zo_splits: 16,
      zo_eps: 1e-3,
      selection: 'per_layer',
      channels: 'out',
      update_dropout: 0,
      train_biases: false,
      quantization: 'none',
      double_quantization: false,
      precision: 'f32',
      execution: 'auto',
      head_groups: false,
      heads: 0,
      reuse_rows_of: null,
      targets: [...targetNames],
      layers: [0, 29],
      learning_rate: 1e-3,
      lr_schedule: 'linear',
      warmup_ratio: 0.05,
      min_lr_ratio: 0,
      weight_decay: 0,
      max_grad_norm: 1,
      max_seq_length: 1024,
      gradient_accumulation_steps: 1,
      max_steps: 0,
      eval_every_steps: 8,
      checkpoint_every_seconds: 30,
      keep_checkpoints: 3,
      train_on: 'assistant',
      packing: true,
      length_bucketing: false,
      keep_best: true,
      export: 'last',
      early_stopping_patience: 0,
      early_stopping_min_delta: 0,
      memory: 'auto',
      sample_every_evals: 0,
      sample_temperature: 0,
      sample_top_k: 0,
      sample_top_p: 1,
      warm_start_from: null,
      sample_prompts: [],
      sample_max_tokens: 64,
    },
  });
});

test('double quantisation needs nf4', () => {
  const ask = (row_sparse: NonNullable<CreateJobBody['row_sparse']>) => resolveJob({ ...body, row_sparse }, facts);
  expect(ask({ quantization: 'nf4', double_quantization: true })).toMatchObject({
    rowSparse: { quantization: 'nf4', double_quantization: true },
  });
  for (const quantization of ['int8', 'none', 'auto'] as const)
    expect(ask({ quantization, double_quantization: true })).toMatchObject({ fault: { param: 'row_sparse.double_quantization' } });
});

test('zero is a value, "auto" and null are not', () => {
  const asked: CreateJobBody = {
    ...body,
    seed: 0,
    hyperparameters: { n_epochs: 'auto' },
    row_sparse: { warmup_ratio: 0, max_grad_norm: 0, rows: 'auto' },
  };
  expect(resolveJob(asked, facts)).toMatchObject({
    seed: 0,
    hyperparameters: { n_epochs: 3 },
    rowSparse: { warmup_ratio: 0, max_grad_norm: 0, rows: 16 },
  });
  expect(resolveJob({ ...body, seed: null }, facts)).toMatchObject({ seed: 77 });
});

test('both forms of hyperparameters count, and may not contradict each other', () => {
  const both = (n_epochs: 'auto' | number): CreateJobBody => ({
    ...body,
    hyperparameters: { n_epochs, batch_size: 2 },
    method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 5 } } },
  });
  for (const same of ['auto', 5] as const)
    expect(resolveJob(both(same), facts)).toMatchObject({ hyperparameters: { n_epochs: 5, batch_size: 2 } });
  expect(resolveJob(both(9), facts)).toMatchObject({
    fault: { param: 'hyperparameters.n_epochs', message: expect.stringMatching(/is 9 and 'method.+' is 5/) },
  });
});

test('large files get fewer epochs; few examples a smaller batch', () => {
  expect(resolveJob(body, { ...facts, trainingExamples: 6_000 })).toMatchObject({ hyperparameters: { n_epochs: 1 } });
  expect(resolveJob(body, { ...facts, trainingExamples: 3, validationExamples: null })).toMatchObject({
    hyperparameters: { batch_size: 3 },
    rowSparse: { eval_every_steps: 0 },
  });
});

describe('rules across fields name the field', () => {
  test.each([
    [{ layers: [0, 30] }, 'row_sparse.layers', /0 to 29/],
    [{ layers: [5, 4] }, 'row_sparse.layers', /empty/],
    [{ max_seq_length: 4096 }, 'row_sparse.max_seq_length', /at most 2048/],
    [{ rows: { ratio: 0.001 } }, 'row_sparse.rows', /selects no row/],
  ] as const)('%j', (rowSparse, param, message) => {
    const result = resolveJob({ ...body, row_sparse: rowSparse as NonNullable<CreateJobBody['row_sparse']> }, facts);
    expect(result).toMatchObject({ fault: { param, message: expect.stringMatching(message) } });
  });
});

test('steps: the last step of an epoch takes what is left', () => {
  expect(stepsOf(10, 4, 1, 2, 0)).toBe(6);
  expect(stepsOf(10, 4, 2, 2, 0)).toBe(4);
  expect(stepsOf(10, 4, 1, 2, 5)).toBe(5);
});

describe('evaluation and warm start', () => {
  const withoutValidation = { ...facts, validationExamples: null };
  test.each([
    [{ keep_best: true }, withoutValidation, 'row_sparse.keep_best', /validation_file/],
    [{ export: 'best' }, withoutValidation, 'row_sparse.export', /validation_file/],
    [{ early_stopping_patience: 2 }, withoutValidation, 'row_sparse.early_stopping_patience', /validation_file/],
    [{ export: 'best', keep_best: false }, facts, 'row_sparse.keep_best', /keep_best/],
    [{ early_stopping_patience: 2, eval_every_steps: 0 }, facts, 'row_sparse.early_stopping_patience', /eval_every_steps/],
    [{ sample_every_evals: 1 }, facts, 'row_sparse.sample_every_evals', /sample_prompts/],
    [{ sample_every_evals: 1, sample_prompts: ['a'] }, withoutValidation, 'row_sparse.sample_every_evals', /validation_file/],
    [{ warm_start_from: 'ftjob-1', targets: ['q_proj'] }, facts, 'row_sparse.targets', /its own rows/],
  ] as const)('%j: %s names the field', (rowSparse, given, param, message) => {
    const result = resolveJob({ ...body, row_sparse: rowSparse as unknown as NonNullable<CreateJobBody['row_sparse']> }, given);
    expect(result).toMatchObject({ fault: { param, message: expect.stringMatching(message) } });
  });

  test('without a validation file nothing is kept as best; with one and these options the job resolves', () => {
    expect(resolveJob(body, withoutValidation)).toMatchObject({ rowSparse: { keep_best: false, export: 'last' } });
    expect(resolveJob({ ...body, row_sparse: { export: 'best', early_stopping_patience: 3 } }, facts)).toMatchObject({
      rowSparse: { keep_best: true, export: 'best', early_stopping_patience: 3, early_stopping_min_delta: 0 },
    });
    expect(resolveJob({ ...body, row_sparse: { warm_start_from: 'ftjob-1', rows: 'auto' } }, facts)).toMatchObject({
      rowSparse: { warm_start_from: 'ftjob-1' },
    });
  });
});
