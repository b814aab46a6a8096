/** The rows of an earlier job, for a job that asks for them by `reuse_rows_of`. */
import { createHash } from 'node:crypto';
import { type ObjectRef, type ProjectId, parseAs, type RowSparseConfig, Selection, selectionKeyOf } from '@rowsmith/contracts';
import type { JobStore, ObjectStore } from '@rowsmith/core';
import { badRequest, notFound } from '../http/api-error.js';

export interface ReusedRows {
  /** Settings that chose the rows. */
  readonly rowSparse: RowSparseConfig;
  readonly selection: ObjectRef;
}

const param = 'row_sparse.reuse_rows_of';

/** null: none asked for. Throws ApiError: 404 `job_not_found`, 400 `rows_not_chosen`, 400 `invalid_value` (another base). Any status will do, once rows were chosen. */
export async function reusedRowsOf(
  from: string | null | undefined,
  model: { readonly id: string; readonly base_sha256: string },
  projectId: ProjectId,
  deps: { readonly jobs: Pick<JobStore, 'get'>; readonly objects: Pick<ObjectStore, 'getBytes'> },
): Promise<ReusedRows | null> {
  if (from === null || from === undefined || from === 'auto') return null;
  const job = await deps.jobs.get(projectId, from);
  if (job === null) throw notFound(`No such fine-tuning job: '${from}'.`, 'job_not_found', param);
  if (job.spec.base_sha256 !== model.base_sha256)
    throw badRequest(`The rows of ${from} belong to another base model than '${model.id}'.`, 'invalid_value', param);
  const key = selectionKeyOf(job.id);
  const bytes = await deps.objects.getBytes(key);
  if (bytes === null) throw badRequest(`The job ${from} has not chosen its rows: it is ${job.status}.`, 'rows_not_chosen', param);
  parseAs(Selection, JSON.parse(Buffer.from(bytes).toString('utf8')), 'selection');
  return {
    rowSparse: job.rowSparse,
    selection: { key, sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.byteLength },
  };
}
