import type { ApiErrorBody } from '@rowsmith/contracts';

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
