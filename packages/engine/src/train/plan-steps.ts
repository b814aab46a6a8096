/** Arithmetic of epochs and optimiser steps. Pure. */

export interface StepPlanInput {
  /** >= 1 */
  readonly examples: number;
  /** Examples per micro-step, >= 1. */
  readonly batch: number;
  /** Micro-steps per optimiser step, >= 1. */
  readonly accumulation: number;
  /** >= 1 */
  readonly epochs: number;
  /** 0: as `epochs` says. Otherwise the number of steps, whatever `epochs` says. */
  readonly maxSteps: number;
}

export interface StepPlan {
  /** ceil(examples / (batch x accumulation)): leftover examples make a smaller last step, so every epoch sees every example once. */
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
}

export function planSteps({ examples, batch, accumulation, epochs, maxSteps }: StepPlanInput): StepPlan {
  for (const [name, value] of Object.entries({ examples, batch, accumulation, epochs }))
    if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} must be an integer >= 1, got ${value}`);
  if (!Number.isSafeInteger(maxSteps) || maxSteps < 0) throw new RangeError(`maxSteps must be an integer >= 0, got ${maxSteps}`);
  const stepsPerEpoch = Math.ceil(examples / (batch * accumulation));
  return { stepsPerEpoch, totalSteps: maxSteps > 0 ? maxSteps : stepsPerEpoch * epochs };
}

/** Where step `step` (counted from 0) of the run lies: its data epoch (from 0) and the positions [first, last) in that epoch's order. */
export function stepWindow(
  step: number,
  { examples, batch, accumulation }: Pick<StepPlanInput, 'examples' | 'batch' | 'accumulation'>,
): { readonly epoch: number; readonly first: number; readonly last: number } {
  const perStep = batch * accumulation;
  const stepsPerEpoch = Math.ceil(examples / perStep);
  const first = (step % stepsPerEpoch) * perStep;
  return { epoch: Math.floor(step / stepsPerEpoch), first, last: Math.min(first + perStep, examples) };
}

/** Epochs done after `steps` optimiser steps, fractional in examples. */
export function epochsDone(steps: number, shape: Pick<StepPlanInput, 'examples' | 'batch' | 'accumulation'>): number {
  if (steps === 0) return 0;
  const { epoch, last } = stepWindow(steps - 1, shape);
  return epoch + last / shape.examples;
}
