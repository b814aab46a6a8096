import { type CreateJobBody, channelsNames, type RowSparseRequest, scorerNames, targetNames } from '@rowsmith/contracts';
import { expect, test } from 'vitest';
import { jobLimits } from './job-limits.js';
import { type JobFacts, resolveJob } from './resolve-job.js';

/** SmolLM2-135M. */
const decoder: JobFacts['model'] = {
  ...{ layers: 30, maxPositions: 2048, heads: 9, kvHeads: 3 },
  rowsOf: { q_proj: 576, k_proj: 192, v_proj: 192, o_proj: 576, gate_proj: 1536, up_proj: 1536, down_proj: 576 },
};
/** BERT base. */
const encoder: JobFacts['model'] = {
  ...{ encoder: true, layers: 12, maxPositions: 512, heads: 12, kvHeads: 12 },
  rowsOf: { q_proj: 768, k_proj: 768, v_proj: 768, o_proj: 768, gate_proj: 0, up_proj: 3072, down_proj: 768 },
};
/** Smaller than the default number of rows. */
const tiny: JobFacts['model'] = {
  ...{ layers: 2, maxPositions: 512, heads: 2, kvHeads: 1 },
  rowsOf: { q_proj: 16, k_proj: 8, v_proj: 8, o_proj: 16, gate_proj: 32, up_proj: 32, down_proj: 16 },
};
const refusal = (model: JobFacts['model'], row_sparse: RowSparseRequest) => {
  const body: CreateJobBody = { model: 'm', training_file: 'f', row_sparse };
  const resolved = resolveJob(body, { model, trainingExamples: 1000, validationExamples: 100, randomSeed: 1 });
  return 'fault' in resolved ? resolved.fault.param : null;
};

test('what a model rules out is not offered, and what is offered is admitted', () => {
  for (const model of [decoder, encoder, tiny]) {
    const { rowSparse, rowsOfChannels } = jobLimits(model);
    const longest = rowSparse['max_seq_length']?.maximum ?? 0;
    expect(longest).toBe(model.maxPositions);
    expect(refusal(model, { rows: 1, max_seq_length: longest })).toBeNull();
    expect(refusal(model, { rows: 1, max_seq_length: longest + 1 })).toBe('row_sparse.max_seq_length');
    expect(rowSparse['layers']).toEqual({
      minimum: 0,
      maximum: model.layers - 1,
      min_items: 2,
      max_items: 2,
      default: [0, model.layers - 1],
    });
    for (const channels of channelsNames) {
      const most = rowsOfChannels[channels] ?? 0;
      expect(refusal(model, { channels, rows: most })).toBeNull();
      expect(refusal(model, { channels, rows: most + 1 })).toBe('row_sparse.rows');
    }
  }
});

test('a decoder', () => {
  const { rowSparse, rowsOfChannels, matrices, hyperparameters, job } = jobLimits(decoder);
  expect(rowsOfChannels).toEqual({ out: 1536, in: 1536, both: 1536, coupled: 1536 });
  expect(matrices).toContainEqual({ target: 'k_proj', rows: 192, columns: 576 });
  expect(matrices).toContainEqual({ target: 'down_proj', rows: 576, columns: 1536 });
  expect(rowSparse).toMatchObject({
    rows: { minimum: 1, maximum: 1536, default: 16 },
    'rows.ratio': { exclusive_minimum: 0, maximum: 1 },
    'rows.round_to': { minimum: 1, maximum: 4096 },
    scorer: { values: [...scorerNames], default: 'l2' },
    selection: { values: ['per_layer', 'global'] },
    quantization: { values: ['none', 'bf16', 'int8', 'nf4'], default: 'none' },
    double_quantization: { values: [false, true] },
    precision: { values: ['f32', 'bf16'] },
    memory: { values: ['auto', 'fast', 'low'] },
    packing: { values: [false, true], default: true },
    targets: { values: [...targetNames], min_items: 1, max_items: 7 },
    // Queries and keys have other heights.
    attention_rows: { values: ['separate'] },
    label_aggregation: { values: [] },
    sample_every_evals: { minimum: 0, maximum: 10_000 },
    sample_prompts: { max_items: 16 },
    warm_start_from: { max_length: 100 },
  });
  // These depend on the files.
  for (const name of ['keep_best', 'eval_every_steps']) expect(rowSparse[name]).not.toHaveProperty('default');
  expect(hyperparameters).toEqual({
    n_epochs: { minimum: 1, maximum: 50 },
    batch_size: { minimum: 1, maximum: 256 },
    learning_rate_multiplier: { exclusive_minimum: 0, maximum: 1000, default: 1 },
  });
  expect(job).toMatchObject({ priority: { minimum: 1, maximum: 100 }, training_files: { min_items: 1, max_items: 32 } });
  for (const name of ['model', 'method', 'row_sparse']) expect(job).not.toHaveProperty(name);
});

test('an encoder', () => {
  const { rowSparse, matrices } = jobLimits(encoder);
  expect(matrices.map(({ target }) => target)).not.toContain('gate_proj');
  expect(rowSparse).toMatchObject({
    packing: { values: [false] },
    train_on: { values: [] },
    sample_prompts: { max_items: 0 },
    sample_every_evals: { maximum: 0 },
    attention_rows: { values: ['separate', 'shared'] },
    selection: { values: ['per_layer', 'global'] },
    scorer: { default: 'taylor' },
    max_seq_length: { maximum: 512, default: 256 },
  });
  expect(rowSparse['label_aggregation']?.values).toHaveLength(6);
});

test('a model smaller than the default rows has all its targets', () => {
  const { rowSparse, matrices } = jobLimits(tiny);
  expect(rowSparse['targets']?.values).toEqual([...targetNames]);
  expect(matrices).toHaveLength(7);
});
