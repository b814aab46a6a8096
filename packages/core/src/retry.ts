/** What happens to a job whose attempt failed. Deciding only; packages/db acts on it. */
import type { ErrorClass } from '@rowsmith/contracts';

/** Attempts whose trainer died, without a newer checkpoint between them, after which a job counts as one that kills its trainers. */
export const maxBarrenAttempts = 3;
/**
 * Attempts whose whole worker was lost, without a newer checkpoint between them. More than for trainers: machines are taken away for reasons of their own,
 * but where the kernel ends all processes of a container at once a job that needs too much memory is seen in no other way.
 */
export const maxLostAttempts = 10;

const firstDelayMs = 500;
const longestDelayMs = 60_000;

export const workerLost = 'worker_lost';

/** Infrastructure around the trainer that was seen to be away, full or broken: says nothing against the job, however often it comes. */
const aroundTheTrainer: ReadonlySet<string> = new Set([
  ...['storage_unavailable', 'storage_refused', 'storage_full', 'bucket_missing', 'network'],
  ...['disk', 'disk_full', 'disk_error', 'too_many_files', 'no_scratch_space', 'trainer_not_started', workerLost],
]);

export interface AttemptProgress {
  /** Earlier attempts whose trainer died since the last newer checkpoint. */
  readonly barrenBefore: number;
  /** Earlier attempts of any failure since the last newer checkpoint; how many of them lost their worker. */
  readonly sinceProgress: { readonly failed: number; readonly lost: number };
  /** The attempt that failed published a checkpoint beyond all earlier ones: nothing counts against the job. */
  readonly advanced: boolean;
}
export type FailureDecision =
  | { readonly kind: 'retry'; readonly barrenAttempts: number; readonly delayMs: number }
  | { readonly kind: 'fail'; readonly class: ErrorClass; readonly code: string | null };

/**
 * `infra` failures are tried again without limit, with a growing pause while nothing is saved; `poison` are those that kill their trainer
 * (`maxBarrenAttempts`) or their worker (`maxLostAttempts`) again and again. `user` and `precheck` failures would fail again the same way.
 */
export function decideAfterFailure(
  failure: { readonly class: ErrorClass; readonly code: string },
  { advanced, barrenBefore, sinceProgress }: AttemptProgress,
): FailureDecision {
  switch (failure.class) {
    case 'user':
    case 'precheck':
    case 'poison':
      return { kind: 'fail', class: failure.class, code: null };
    case 'infra': {
      if (advanced) return { kind: 'retry', barrenAttempts: 0, delayMs: firstDelayMs };
      const barren = barrenBefore + (aroundTheTrainer.has(failure.code) ? 0 : 1);
      const lost = sinceProgress.lost + (failure.code === workerLost ? 1 : 0);
      const poison = (barren > barrenBefore && barren >= maxBarrenAttempts) || (lost > sinceProgress.lost && lost >= maxLostAttempts);
      if (poison) return { kind: 'fail', class: 'poison', code: 'poison' };
      return { kind: 'retry', barrenAttempts: barren, delayMs: Math.min(longestDelayMs, firstDelayMs * 4 ** sinceProgress.failed) };
    }
  }
}
