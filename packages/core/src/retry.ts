/** What happens to a job whose attempt failed. Deciding only; packages/db acts on it. */
import type { ErrorClass } from '@rowsmith/contracts';

/** Attempts in a row without a newer checkpoint after which a job counts as one that kills its workers. */
export const maxBarrenAttempts = 3;

export type FailureDecision =
  | { readonly kind: 'retry'; readonly barrenAttempts: number; readonly delayMs: number }
  | { readonly kind: 'fail'; readonly class: ErrorClass; readonly code: string | null };

/**
 * `infra` failures (worker lost, storage, full disk) are tried again without limit while checkpoints advance; three in a row without progress are
 * `poison`. `user` and `precheck` failures would fail again the same way and are not retried. `barrenAttempts`: earlier ones in a row.
 */
export function decideAfterFailure(failure: { readonly class: ErrorClass }, barrenAttempts: number): FailureDecision {
  switch (failure.class) {
    case 'user':
    case 'precheck':
    case 'poison':
      return { kind: 'fail', class: failure.class, code: null };
    case 'infra': {
      const barren = barrenAttempts + 1;
      if (barren >= maxBarrenAttempts) return { kind: 'fail', class: 'poison', code: 'poison' };
      return { kind: 'retry', barrenAttempts: barren, delayMs: 500 * 4 ** (barren - 1) };
    }
  }
}
