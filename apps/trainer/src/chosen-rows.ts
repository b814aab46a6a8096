/** Which rows become the adapter: those of the last step, or those of the lowest validation loss. */
import type { CheckpointMetrics, RowDelta, RowSparseConfig } from '@rowsmith/contracts';
import type { LinearInfo, RowValues, TrainEvent } from '@rowsmith/engine';
import type { Binding } from './checkpoint-manifest.js';
import type { Checkpoints } from './checkpoints.js';
import type { Objects } from './object-files.js';
import { readAny } from './resume.js';
import { rowsOf } from './row-stacks.js';
import { TrainerError } from './trainer-error.js';

export interface ChosenRows {
  readonly step: number;
  readonly delta: RowDelta;
  readonly metrics: CheckpointMetrics;
  /** Rows as the model that trained them held them; absent: the update comes from a checkpoint. */
  readonly tunedRows?: RowValues;
}

type Done = Extract<TrainEvent, { type: 'done' }>;

/** null: the rows that the model holds at `done`. Throws TrainerError (infra) `best_checkpoint_lost`: another attempt goes on from where it still was. */
export async function chosenRows(
  done: Done,
  exported: RowSparseConfig['export'],
  checkpoints: Checkpoints,
  { store, binding, linears, workDir }: { store: Objects; binding: Binding; linears: readonly LinearInfo[]; workDir: string },
): Promise<ChosenRows | null> {
  if (exported === 'last' || done.best === null || done.best.step === done.step) return null;
  const { step, loss } = done.best;
  const best = await readAny(store, checkpoints.of(step), binding, linears, workDir);
  if ('reason' in best)
    throw new TrainerError('infra', 'best_checkpoint_lost', `the best checkpoint, of step ${step}, cannot be used: ${best.reason}`);
  return { step, delta: rowsOf(best.state, linears), metrics: { ...best.metrics, full_valid_loss: loss } };
}
