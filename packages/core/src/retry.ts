/** What happens to a job whose attempt failed. Deciding only; packages/db acts on it. */
import type { ErrorClass } from '@rowsmith/contracts';

/** Attempts in a row without a newer checkpoint after which a job counts as one that kills its workers. */
export const maxBarrenAttempts = 3;

const firstDelayMs = 500;

export interface AttemptProgress {
  /** Earlier attempts in a row that made no newer checkpoint. */
  readonly barrenBefore: number;
  /** The attempt that failed published a checkpoint beyond all earlier ones: it does not count against the job. */
  readonly advanced: boolean;
}
export type FailureDecision =
  | { readonly kind: 'retry'; readonly barrenAttempts: number; readonly delayMs: number }
  | { readonly kind: 'fail'; readonly class: ErrorClass; readonly code: string | null };

/**
 * `infra` failures (worker lost, storage, full disk) are tried again without limit while checkpoints advance; three in a row without progress are
 * `poison`. `user` and `precheck` failures would fail again the same way and are not retried.
 */
export function decideAfterFailure(failure: { readonly class: ErrorClass }, attempt: AttemptProgress): FailureDecision {
  switch (failure.class) {
    case 'user':
    case 'precheck':
    case 'poison':
      return { kind: 'fail', class: failure.class, code: null };
    case 'infra': {
      if (attempt.advanced) return { kind: 'retry', barrenAttempts: 0, delayMs: firstDelayMs };
      const barren = attempt.barrenBefore + 1;
      if (barren >= maxBarrenAttempts) return { kind: 'fail', class: 'poison', code: 'poison' };
      return { kind: 'retry', barrenAttempts: barren, delayMs: firstDelayMs * 4 ** (barren - 1) };
    }
  }
}
