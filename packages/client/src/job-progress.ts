/** What a watcher knows of a job, folded from its events; pure, so that a display can be tested without a server. */
import type { JobEvent } from '@rowsmith/contracts';

export interface JobProgress {
  readonly step: number;
  readonly totalSteps: number | null;
  readonly phase: string | null;
  readonly trainLoss: number | null;
  readonly validLoss: number | null;
  /** Real tokens per second over the last steps (exponential mean, weight 0.2). */
  readonly tokensPerSecond: number | null;
  /** Exponential mean of the seconds that a step takes. */
  readonly secondsPerStep: number | null;
  /** Steps whose time is in the means. */
  readonly timed: number;
}

export const noProgress: JobProgress = {
  step: 0,
  totalSteps: null,
  phase: null,
  trainLoss: null,
  validLoss: null,
  tokensPerSecond: null,
  secondsPerStep: null,
  timed: 0,
};

const number = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null);
/** The first step also warms caches up, so the second replaces it. */
const blend = (before: number | null, now: number | null, timed: number) =>
  now === null ? before : before === null || timed < 2 ? now : before + 0.2 * (now - before);

/** Events may repeat steps after a resume; the newest wins. The same object comes back when the event changes nothing. */
export function advance(progress: JobProgress, event: JobEvent): JobProgress {
  const data = event.data;
  if (event.type === 'metrics') {
    const seconds = number(data['seconds']);
    const tokens = number(data['tokens']);
    const rate = seconds !== null && seconds > 0 && tokens !== null ? tokens / seconds : null;
    return {
      ...progress,
      step: number(data['step']) ?? progress.step,
      totalSteps: number(data['total_steps']) ?? progress.totalSteps,
      trainLoss: number(data['train_loss']) ?? progress.trainLoss,
      validLoss: number(data['valid_loss']) ?? progress.validLoss,
      tokensPerSecond: blend(progress.tokensPerSecond, rate, progress.timed),
      secondsPerStep: blend(progress.secondsPerStep, seconds, progress.timed),
      timed: progress.timed + (seconds === null ? 0 : 1),
    };
  }
  return data['type'] === 'phase' && typeof data['phase'] === 'string' ? { ...progress, phase: data['phase'] } : progress;
}

/** Seconds until the last step, null while unknown. */
export function secondsLeft(progress: JobProgress): number | null {
  if (progress.totalSteps === null || progress.secondsPerStep === null) return null;
  return Math.max(0, progress.totalSteps - progress.step) * progress.secondsPerStep;
}
