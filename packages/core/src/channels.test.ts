import type { RowSparseRequest } from '@rowsmith/contracts';
import { expect, test } from 'vitest';
import { resolveJob } from './resolve-job.js';

const rowsOf = { q_proj: 576, k_proj: 192, v_proj: 192, o_proj: 576, gate_proj: 1536, up_proj: 1536, down_proj: 576 };
const resolve = (row_sparse: RowSparseRequest) =>
  resolveJob(
    { model: 'm', training_file: 'file-x', row_sparse },
    {
      trainingExamples: 100,
      validationExamples: null,
      randomSeed: 1,
      model: { layers: 30, maxPositions: 2048, rowsOf, heads: 9, kvHeads: 3 },
    },
  );

test.each<[string, RowSparseRequest, string, RegExp]>([
  ['more rows than any target has', { rows: 1537 }, 'rows', /1537 were asked for; the largest of the targets has 1536/],
  ['more columns', { rows: 577, channels: 'in', targets: ['q_proj', 'up_proj'] }, 'rows', /the largest of the targets has 576/],
  ['more pairs of rotated dimensions', { rows: 97, channels: 'coupled', targets: ['q_proj', 'k_proj'] }, 'rows', /has 96 to/],
  ['more value dimensions', { rows: 193, channels: 'coupled', targets: ['o_proj'] }, 'rows', /has 192 to/],
  ['a ratio of nothing', { rows: { ratio: 0.04 }, channels: 'coupled', targets: ['k_proj'] }, 'rows', /selects no row/],
  ['heads of columns', { channels: 'in', head_groups: true }, 'head_groups', /need the channels 'out', not 'in'/],
  ['whole heads of neurons', { channels: 'coupled', heads: 0.5 }, 'heads', /not 'coupled'/],
])('refuses %s', (_what, request, field, message) => {
  expect(resolve(request)).toEqual({ fault: { param: `row_sparse.${field}`, message: expect.stringMatching(message) } });
});

test.each<RowSparseRequest>([
  { rows: 1536 },
  { rows: 576, channels: 'both', targets: ['k_proj'] },
  { rows: 1536, channels: 'in' },
  { rows: 96, channels: 'coupled', targets: ['q_proj', 'k_proj'] },
  { rows: { ratio: 0.05 }, channels: 'coupled', targets: ['k_proj'] },
])('takes %j', (request) => {
  expect(resolve(request)).toMatchObject({ rowSparse: request });
});
