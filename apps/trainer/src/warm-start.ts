/** Rows and updates of an earlier adapter or checkpoint as the start of a job. */
import { join } from 'node:path';
import { AdapterError, readRows } from '@rowsmith/adapter';
import type { CheckpointState, JobSpec, RowDelta } from '@rowsmith/contracts';
import type { LinearInfo } from '@rowsmith/engine';
import { withHeadsOf } from './classifier-task.js';
import { downloadTo, type Objects } from './object-files.js';
import { stacksOf } from './row-stacks.js';
import { TrainerError } from './trainer-error.js';

const param = 'row_sparse.warm_start_from';

/**
 * null: the job starts from the base. Throws TrainerError: (user) `warm_start_other_base`; (infra) when the object is damaged, and `bad_rows` when it is whole
 * but no row-delta of this model.
 */
export async function warmStart(
  store: Objects,
  spec: JobSpec,
  linears: readonly LinearInfo[],
  workDir: string,
  /** Heads that this job begins with. */
  fresh: RowDelta = new Map(),
): Promise<Pick<CheckpointState, 'indices' | 'columns' | 'biases' | 'buffers'> | null> {
  if (!spec.warm_start) return null;
  const path = join(workDir, 'warm-start.safetensors');
  await downloadTo(path, store, spec.warm_start);
  const label = `the rows of ${spec.row_sparse.warm_start_from}`;
  const rows = await readRows(path, { baseSha256: spec.base_sha256, label }).catch((cause: unknown) => {
    if (!(cause instanceof AdapterError)) throw cause;
    const otherBase = cause.code === 'other_base';
    throw new TrainerError(otherBase ? 'user' : 'infra', otherBase ? 'warm_start_other_base' : cause.code, cause.message, param, { cause });
  });
  return stacksOf(withHeadsOf(rows, linears, fresh), linears);
}
