/** A job's progress as text. What it knows of the job is folded by the client. */
import { type JobProgress, secondsLeft } from '@rowsmith/client';

export function formatSeconds(seconds: number | null): string {
  if (seconds === null) return '-';
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, '0')}s`;
  return `${Math.floor(whole / 3600)}h${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')}m`;
}

const fixed = (value: number | null, digits: number) => (value === null ? '-' : value.toFixed(digits));

/** Loss, tokens/s and time left in one line. */
export function progressText(progress: JobProgress): string {
  const valid = progress.validLoss === null ? '' : `  valid ${fixed(progress.validLoss, 4)}`;
  return `loss ${fixed(progress.trainLoss, 4)}${valid}  ${fixed(progress.tokensPerSecond, 0)} tokens/s  ${formatSeconds(secondsLeft(progress))} left`;
}
