import { type CreateJobBody, targetNames } from '@rowsmith/contracts';
import { describe, expect, test } from 'vitest';
import { type JobFacts, type ResolvedJob, resolveJob } from './resolve-job.js';

const rowsOf = { q_proj: 576, k_proj: 192, v_proj: 192, o_proj: 576, gate_proj: 1536, up_proj: 1536, down_proj: 576 };
const facts: JobFacts = {
  trainingExamples: 20,
  validationExamples: null,
  model: { layers: 30, maxPositions: 2048, rowsOf, heads: 9, kvHeads: 3 },
  randomSeed: 77,
};
type Asked = NonNullable<CreateJobBody['row_sparse']>;
const resolve = (row_sparse: unknown, given: JobFacts = facts) =>
  resolveJob({ model: 'm', training_file: 'file-x', hyperparameters: { batch_size: 4 }, row_sparse: row_sparse as Asked }, given);
const resolved = (row_sparse: unknown, given: JobFacts = facts): ResolvedJob => {
  const result = resolve(row_sparse, given);
  if ('fault' in result) throw new Error(result.fault.message);
  return result;
};

test('zo_taylor has no more splits than there are batches unless asked for', () => {
  expect(resolved({ scorer: 'zo_taylor' }).rowSparse.zo_splits).toBe(5);
  expect(resolved({ scorer: 'zo_taylor', calibration_batches: 2 }).rowSparse.zo_splits).toBe(2);
  expect(resolved({ scorer: 'zo_taylor' }, { ...facts, trainingExamples: 1000 }).rowSparse.zo_splits).toBe(16);
});

describe('settings that cannot be met together name their field', () => {
  test.each([
    [{ scorer: 'zo_taylor', zo_splits: 6 }, 'zo_splits', /6 splits; there are 5/],
    [{ selection: 'global', head_groups: true }, 'head_groups', /exclude/],
    [{ selection: 'global', heads: 0.5 }, 'heads', /global/],
    [{ selection: 'global', rows: { ratio: 0.1, round_to: 4 } }, 'rows', /round_to/],
    [{ selection: 'global', rows: { ratio: 0.000001 } }, 'rows', /less than one row/],
    [{ head_groups: true, heads: 0.5 }, 'heads', /not both/],
    [{ head_groups: true, targets: ['up_proj'] }, 'head_groups', /q_proj, k_proj, v_proj/],
    [{ heads: 0.5, targets: ['up_proj'] }, 'heads', /q_proj, k_proj, v_proj/],
    [{ heads: 0.1, targets: ['q_proj', 'k_proj'] }, 'heads', /less than one head/],
  ])('%j: row_sparse.%s', (asked, field, message) => {
    expect(resolve(asked)).toMatchObject({ fault: { param: `row_sparse.${field}`, message: expect.stringMatching(message) } });
  });

  test('what can be met is', () => {
    expect(resolved({ selection: 'global', rows: { ratio: 0.0001 } }).rowSparse.selection).toBe('global');
    expect(resolved({ zo_splits: 6 }).rowSparse.zo_splits).toBe(6);
    expect(resolved({ heads: 0.1, targets: ['q_proj', 'up_proj'] }).rowSparse.heads).toBe(0.1);
  });
});

describe('reuse_rows_of', () => {
  const earlier = resolved({
    rows: { ratio: 0.1 },
    scorer: 'taylor',
    selection: 'global',
    targets: ['q_proj', 'v_proj'],
    layers: [3, 9],
  }).rowSparse;
  const reusing = { ...facts, reuse: earlier };

  test('brings all that chose the rows', () => {
    const { rowSparse } = resolved({ reuse_rows_of: 'ftjob-1', learning_rate: 0.01 }, reusing);
    expect(rowSparse).toMatchObject({
      ...{ reuse_rows_of: 'ftjob-1', rows: { ratio: 0.1 }, scorer: 'taylor', selection: 'global', layers: [3, 9], learning_rate: 0.01 },
      targets: ['q_proj', 'v_proj'],
    });
  });

  test('may be asked for with the same targets and layers, in any order', () => {
    expect(resolved({ reuse_rows_of: 'ftjob-1', targets: ['v_proj', 'q_proj'], layers: [3, 9] }, reusing).rowSparse.targets).toEqual(
      earlier.targets,
    );
  });

  test.each([
    [{ targets: [...targetNames] }, reusing, 'targets'],
    [{ layers: [0, 9] }, reusing, 'layers'],
    [{ rows: 4 }, reusing, 'rows'],
    [{ scorer: 'l2' }, reusing, 'scorer'],
    [{ warm_start_from: 'ftjob-2' }, reusing, 'reuse_rows_of'],
    [{}, facts, 'reuse_rows_of'],
  ] as const)('refuses %j beside it', (asked, given, field) => {
    expect(resolve({ reuse_rows_of: 'ftjob-1', ...asked }, given)).toMatchObject({ fault: { param: `row_sparse.${field}` } });
  });

  test('needs no batch for each split that the earlier job had', () => {
    const wide = { ...facts, reuse: { ...earlier, scorer: 'zo_taylor' as const, zo_splits: 40 } };
    expect(resolved({ reuse_rows_of: 'ftjob-1' }, wide).rowSparse.zo_splits).toBe(40);
  });
});
