/**
 * Jobs outlive builds: a specification that an older build stored lacks the fields that came later. Each has a value here that means what builds without it
 * did, so that a job which waited or ran during an upgrade goes on to the same bytes. Whoever adds a required field to a specification adds it here.
 */
import type { JobSpec, RowSparseConfig } from '@rowsmith/contracts';

const laterFields = {
  calibration_batches: 50,
  scoring_memory_mb: 0,
  zo_estimates: 2,
  zo_splits: 1,
  zo_eps: 1e-3,
  selection: 'per_layer',
  channels: 'out',
  update_dropout: 0,
  train_biases: false,
  quantization: 'none',
  precision: 'f32',
  execution: 'auto',
  double_quantization: false,
  head_groups: false,
  heads: 0,
  reuse_rows_of: null,
} as const satisfies Partial<RowSparseConfig>;

/** The same object when nothing is missing. */
export function completeRowSparse(stored: RowSparseConfig): RowSparseConfig {
  const missing = Object.entries(laterFields).filter(([name]) => !(name in stored));
  return missing.length === 0 ? stored : { ...Object.fromEntries(missing), ...stored };
}

/** The same object when nothing is missing. Its identity (the hash in checkpoints) stays that of what is stored, never that of the completed one. */
export function completeSpec(stored: JobSpec): JobSpec {
  const rowSparse = completeRowSparse(stored.row_sparse);
  return rowSparse === stored.row_sparse ? stored : { ...stored, row_sparse: rowSparse };
}
