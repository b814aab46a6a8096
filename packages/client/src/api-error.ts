import type { ApiErrorBody } from '@rowsmith/contracts';

/**
 * What a caller does about it: `authentication` (no or a wrong key), `permission` (the key may not), `not_found`, `conflict` (with the state of things: try
 * later or never), `invalid_request` (change it), `rate_limited` (wait), `quota` (use less, or have it raised), `server` (not the caller's fault; try again).
 */
export type ApiErrorKind =
  | 'authentication'
  | 'permission'
  | 'not_found'
  | 'conflict'
  | 'invalid_request'
  | 'rate_limited'
  | 'quota'
  | 'server';

const kinds: Readonly<Record<number, ApiErrorKind>> = {
  401: 'authentication',
  403: 'permission',
  404: 'not_found',
  409: 'conflict',
  429: 'rate_limited',
};

/** The API refused a request, or failed. `message` is the API's own. */
export class RowsmithApiError extends Error {
  override readonly name = 'RowsmithApiError';
  constructor(
    readonly status: number,
    readonly code: string | null,
    readonly param: string | null,
    readonly type: string,
    /** Quote it when you report a problem. */
    readonly requestId: string | null,
    message: string,
  ) {
    super(message);
  }

  get kind(): ApiErrorKind {
    if (this.type === 'insufficient_quota') return 'quota';
    return kinds[this.status] ?? (this.status >= 500 ? 'server' : 'invalid_request');
  }

  /** The same request may pass later. */
  get retryable(): boolean {
    return this.kind === 'rate_limited' || this.kind === 'server';
  }
}

const isErrorBody = (body: unknown): body is ApiErrorBody =>
  typeof body === 'object' &&
  body !== null &&
  'error' in body &&
  typeof body.error === 'object' &&
  body.error !== null &&
  'message' in body.error;

/** `body` is the parsed body, if there was one. */
export function apiError(response: Response, body: unknown): RowsmithApiError {
  const requestId = response.headers.get('x-request-id');
  if (isErrorBody(body)) {
    const { message, type, param, code } = body.error;
    return new RowsmithApiError(response.status, code, param, type, requestId, message);
  }
  return new RowsmithApiError(
    response.status,
    null,
    null,
    'unexpected_response',
    requestId,
    `HTTP ${response.status} ${response.statusText}`.trim(),
  );
}

/** Throws unless the status is 2xx. */
export async function requireOk(response: Response): Promise<Response> {
  if (response.ok) return response;
  const text = await response.text();
  let body: unknown = null;
  try {
    body = JSON.parse(text);
  } catch {
    // Not ours: a proxy's page. The status says it.
  }
  throw apiError(response, body);
}
