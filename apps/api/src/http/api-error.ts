/** The failures a client may see: HTTP status, OpenAI's four keys, and what its SDK should do next. */
import type { QuotaExceededError } from '@rowsmith/core';

export interface ApiErrorDetails {
  readonly message: string;
  /** By the status if not given. */
  readonly type?: string;
  readonly code?: string | null;
  /** JSON path of the field at fault, e.g. `method.supervised.hyperparameters.n_epochs`. */
  readonly param?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

const typeOf = (status: number): string => {
  if (status === 401) return 'authentication_error';
  if (status === 429) return 'rate_limit_error';
  if (status >= 500) return 'server_error';
  return 'invalid_request_error';
};

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly type: string;
  readonly code: string | null;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    readonly statusCode: number,
    details: ApiErrorDetails,
  ) {
    super(details.message);
    this.type = details.type ?? typeOf(statusCode);
    this.code = details.code ?? null;
    this.param = details.param ?? null;
    this.headers = details.headers ?? {};
  }

  /** The wire form; all four keys are always there. */
  body() {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } };
  }
}

export const badRequest = (message: string, code: string, param: string | null = null) => new ApiError(400, { message, code, param });
export const notFound = (message: string, code: string, param: string | null = null) => new ApiError(404, { message, code, param });

const noRetry = { 'x-should-retry': 'false' };

/** SDKs retry 409 twice; this one can't succeed. */
export const conflict = (message: string, code: string, param: string | null = null) =>
  new ApiError(409, { message, code, param, headers: noRetry });

/** An action that the object's state rules out for good. */
export const notPossible = (message: string, code: string, param: string | null = null) =>
  new ApiError(400, { message, code, param, headers: noRetry });

const quotaNames = {
  queued_jobs: 'queued jobs',
  storage_bytes: 'bytes of files',
  device_seconds_per_month: 'seconds of device time a month',
} as const satisfies Record<QuotaExceededError['quota'], string>;

/** SDKs retry a 429 twice; this one helps only when something has been used less or the quota is raised. */
export const quotaExceeded = ({ quota, limit, used }: QuotaExceededError) =>
  new ApiError(429, {
    type: 'insufficient_quota',
    code: 'quota_exceeded',
    message: `You exceeded your project's quota: it may have ${limit} ${quotaNames[quota]}, and ${used} are used.`,
    param: quota,
    headers: noRetry,
  });

export const noSuchFile = (id: string) => notFound(`No such file: '${id}'.`, 'file_not_found', 'id');
export const noSuchJob = (id: string) => notFound(`No such fine-tuning job: '${id}'.`, 'job_not_found');

/** Something behind us does not answer; the same request will work when it does. */
export const unavailable = (message: string, retryAfterSeconds = 2) =>
  new ApiError(503, {
    message,
    code: 'service_unavailable',
    headers: { 'retry-after': String(retryAfterSeconds), 'retry-after-ms': String(retryAfterSeconds * 1000) },
  });
