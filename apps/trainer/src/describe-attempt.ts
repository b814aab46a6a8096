/** What an attempt says of itself, and when it samples. Pure. */
import type { AdapterManifest, JobSpec, TrainerStart } from '@rowsmith/contracts';
import { planSteps, type TrainEvent } from '@rowsmith/engine';
import type { ClassifierTask } from './classifier-task.js';
import type { Dataset } from './dataset.js';

export function totalStepsOf({ spec: { hyperparameters, row_sparse } }: TrainerStart, { train: { examples } }: Dataset): number {
  return planSteps({
    examples: examples.length,
    batch: hyperparameters.batch_size,
    accumulation: row_sparse.gradient_accumulation_steps,
    epochs: hyperparameters.n_epochs,
    maxSteps: row_sparse.max_steps,
  }).totalSteps;
}

export function trainingMessage({ train: { counts } }: Dataset, task: ClassifierTask | null): string {
  const cut = counts.truncated > 0 ? `, ${counts.truncated} of them cut to max_seq_length` : '';
  const left = counts.dropped > 0 ? `; ${counts.dropped} without a token to learn left out` : '';
  if (task) return `Training on ${counts.examples} examples of ${task.classes.length} classes${cut}`;
  return `Training on ${counts.examples} examples, ${counts.labelledTokens} tokens to learn${cut}${left}`;
}

/** The last evaluation is followed by the answers of the finished model. */
export const samplesAt = (
  { evaluation, point, totalSteps }: Extract<TrainEvent, { type: 'evaluation' }>,
  { row_sparse }: JobSpec,
): boolean =>
  row_sparse.sample_every_evals > 0 && evaluation > 0 && evaluation % row_sparse.sample_every_evals === 0 && point.step < totalSteps;

export const headMessage = ({ classes, newClasses }: Pick<ClassifierTask, 'classes' | 'newClasses'>): string =>
  `${newClasses === undefined ? "The base model's classifier goes on" : 'A new classifier begins'}: ${classes.length} classes`;

export const evaluationMessage = ({ examples, accuracy, matthews }: NonNullable<AdapterManifest['evaluation']>): string =>
  `Validation of the adapter: accuracy ${accuracy.toFixed(4)}, Matthews correlation ${matthews.toFixed(4)} over ${examples} examples`;
