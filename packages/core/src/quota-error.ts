import type { ProjectQuotas } from '@rowsmith/contracts';

/** A project has used up what it may; thrown by the stores inside the transaction that would exceed it, so two requests at once cannot both fit. */
export class QuotaExceededError extends Error {
  override readonly name = 'QuotaExceededError';
  readonly code = 'quota_exceeded';
  constructor(
    readonly quota: Exclude<keyof ProjectQuotas, 'running_jobs' | 'requests_per_minute'>,
    readonly limit: number,
    /** Before what was asked for. */
    readonly used: number,
  ) {
    super(`the project's quota ${quota} of ${limit} is used up (${used})`);
  }
}
