/** Learning-rate schedules: pure functions of the step. */
import type { ScheduleName } from '@rowsmith/contracts';

export interface ScheduleInput {
  readonly schedule: ScheduleName;
  /** Rate after the warm-up. */
  readonly peak: number;
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
  /** Share of totalSteps, rounded up, over which the rate rises linearly to the peak. */
  readonly warmupRatio: number;
  /** No rate after the warm-up is below minLrRatio x peak. */
  readonly minLrRatio: number;
}

/** The method's recipe: x 0.85 after every data epoch. */
const stepDecay = 0.85;

/**
 * Rate of the optimiser step `step`, counted from 0. With w warm-up steps:
 *   step < w: peak (step+1)/(w+1), never 0, so no step is wasted;
 *   then, with t = (step-w) / (totalSteps-w) in [0, 1) and m = minLrRatio:
 *   constant: peak; linear: peak (m + (1-m)(1-t)); cosine: peak (m + (1-m)(1+cos(pi t))/2);
 *   step: peak max(m, 0.85^e), e = data epochs begun before this step (warm-up included).
 */
export function learningRate(step: number, input: ScheduleInput): number {
  const { schedule, peak, totalSteps, stepsPerEpoch, minLrRatio } = input;
  const warmup = warmupSteps(input);
  if (step < warmup) return (peak * (step + 1)) / (warmup + 1);
  const t = Math.min(1, (step - warmup) / Math.max(1, totalSteps - warmup));
  const between = (share: number) => peak * (minLrRatio + (1 - minLrRatio) * share);
  switch (schedule) {
    case 'constant':
      return peak;
    case 'linear':
      return between(1 - t);
    case 'cosine':
      return between((1 + Math.cos(Math.PI * t)) / 2);
    case 'step':
      return peak * Math.max(minLrRatio, stepDecay ** Math.floor(step / stepsPerEpoch));
  }
}

export function warmupSteps({ warmupRatio, totalSteps }: Pick<ScheduleInput, 'warmupRatio' | 'totalSteps'>): number {
  // 0.07 x 100 is 7.000000000000001 in doubles and means 7.
  return Math.max(0, Math.ceil(warmupRatio * totalSteps - 1e-9));
}
