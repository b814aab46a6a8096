import { EngineError } from '../errors.js';
import type { ScheduleInput } from '../optim/schedule.js';
import { labelledTokens } from './collate.js';
import { bucketedOrder, exampleOrder } from './order.js';
import { planSteps } from './plan-steps.js';
import type { RunShape } from './progress.js';
import type { TrainInput } from './types.js';

export interface RunSetup extends RunShape {
  readonly schedule: ScheduleInput;
  readonly evaluationDue: (step: number) => boolean;
  /** Order of the examples in a data epoch (from 0). */
  readonly orderOf: (epoch: number) => Int32Array;
}

/** What follows from the input before anything is computed. Throws EngineError `no_examples`, `no_labelled_tokens`. */
export function setUpRun({ trainExamples, validExamples, hyperparameters, rowSparse, seed }: TrainInput): RunSetup {
  if (trainExamples.length === 0) throw new EngineError('user', 'no_examples', 'there is no training example', 'training_file');
  if (!trainExamples.some((example) => labelledTokens(example) > 0))
    throw new EngineError('user', 'no_labelled_tokens', 'no token of the training examples counts for the loss', 'training_file');
  const counts = {
    examples: trainExamples.length,
    batch: hyperparameters.batch_size,
    accumulation: rowSparse.gradient_accumulation_steps,
  };
  const { stepsPerEpoch, totalSteps } = planSteps({ ...counts, epochs: hyperparameters.n_epochs, maxSteps: rowSparse.max_steps });
  const schedule: ScheduleInput = {
    schedule: rowSparse.lr_schedule,
    peak: rowSparse.learning_rate * hyperparameters.learning_rate_multiplier,
    totalSteps,
    stepsPerEpoch,
    warmupRatio: rowSparse.warmup_ratio,
    minLrRatio: rowSparse.min_lr_ratio,
  };
  const every = rowSparse.eval_every_steps;
  const evaluationDue = (step: number): boolean =>
    validExamples.length > 0 && (step === 0 || step === totalSteps || (every > 0 && step % every === 0));
  const lengths = Int32Array.from(trainExamples, ({ ids }) => ids.length);
  const orderOf = (epoch: number): Int32Array =>
    rowSparse.length_bucketing ? bucketedOrder(lengths, counts.batch, seed, epoch) : exampleOrder(counts.examples, seed, epoch);
  return { ...counts, totalSteps, schedule, evaluationDue, orderOf };
}
