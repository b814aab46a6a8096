/** Where a run stands between two optimiser steps, and its form in a checkpoint. Pure. */
import type { CheckpointState } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import { stepWindow } from './plan-steps.js';
import type { TrainMetrics } from './types.js';
import { fromNumbers, noEvaluations, toNumbers, type ValidationRecord } from './validation-record.js';

export interface Progress {
  /** Whole optimiser steps done. */
  readonly step: number;
  readonly trainedTokens: number;
  /** Last step after which the validation set was evaluated; -1: never. */
  readonly evaluatedStep: number;
  readonly validation: ValidationRecord;
  readonly metrics: TrainMetrics;
}

export interface RunShape {
  readonly examples: number;
  readonly batch: number;
  readonly accumulation: number;
  readonly totalSteps: number;
}

const metricNames = ['train_loss', 'train_mean_token_accuracy', 'full_valid_loss', 'full_valid_mean_token_accuracy'] as const;

export const start: Progress = {
  step: 0,
  trainedTokens: 0,
  evaluatedStep: -1,
  validation: noEvaluations,
  metrics: {
    step: 0,
    train_loss: null,
    train_mean_token_accuracy: null,
    full_valid_loss: null,
    full_valid_mean_token_accuracy: null,
  },
};

/** `epoch` and `position` (examples done in it) follow from the step; they are there to be read and to be checked on return. */
export function toCursor(
  { step, trainedTokens, evaluatedStep, validation, metrics }: Progress,
  shape: RunShape,
): CheckpointState['cursor'] {
  const { epoch, first } = stepWindow(step, shape);
  const known = metricNames.flatMap((name) => (metrics[name] === null ? [] : [[name, metrics[name]] as const]));
  return {
    epoch,
    position: first,
    examples: shape.examples,
    trained_tokens: trainedTokens,
    evaluated_step: evaluatedStep,
    ...toNumbers(validation),
    ...Object.fromEntries(known),
  };
}

/** Throws EngineError `checkpoint_mismatch`. */
export function fromCheckpoint({ step, cursor }: CheckpointState, shape: RunShape): Progress {
  const number = (name: string): number => {
    const value = cursor[name];
    if (value === undefined || !Number.isFinite(value)) throw mismatch(`its cursor has no ${name}`);
    return value;
  };
  if (!Number.isSafeInteger(step) || step < 0 || step > shape.totalSteps)
    throw mismatch(`it is of step ${step}, the run has ${shape.totalSteps} steps`);
  if (number('examples') !== shape.examples) throw mismatch(`it saw ${cursor['examples']} examples, the run has ${shape.examples}`);
  const { epoch, first } = stepWindow(step, shape);
  if (number('epoch') !== epoch || number('position') !== first)
    throw mismatch(`step ${step} lies at example ${first} of epoch ${epoch}, its cursor says ${cursor['position']} of ${cursor['epoch']}`);
  const metric = (name: (typeof metricNames)[number]): number | null => cursor[name] ?? null;
  return {
    step,
    trainedTokens: number('trained_tokens'),
    evaluatedStep: number('evaluated_step'),
    validation: fromNumbers(cursor),
    metrics: {
      step,
      train_loss: metric('train_loss'),
      train_mean_token_accuracy: metric('train_mean_token_accuracy'),
      full_valid_loss: metric('full_valid_loss'),
      full_valid_mean_token_accuracy: metric('full_valid_mean_token_accuracy'),
    },
  };
}

/** A checkpoint restores rows by position in the stack: its indices must be the plan's. */
export function checkSavedRows(saved: CheckpointState['indices'], plan: ReadonlyMap<string, Int32Array>): void {
  if (saved.size !== plan.size) throw mismatch(`it has rows of ${saved.size} linears, the plan of ${plan.size}`);
  for (const [name, indices] of plan)
    if (saved.get(name)?.join() !== indices.join()) throw mismatch(`the rows of ${name} are not those of the plan`);
}

export function checkSavedBiases(saved: CheckpointState['biases'] = [], plan: CheckpointState['biases'] = []): void {
  if (saved.join() !== plan.join()) throw mismatch('its biases are not those of the plan');
}

function mismatch(message: string): EngineError {
  return new EngineError('infra', 'checkpoint_mismatch', `the checkpoint is of another run: ${message}`);
}
