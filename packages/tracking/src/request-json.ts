import { TrackingError } from './run.js';

export interface JsonRequest {
  readonly method: 'GET' | 'POST';
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const timeoutMs = 20_000;

/** Sends and reads JSON. Throws TrackingError with the server's own words, never with a header. */
export async function requestJson(server: string, url: string, { method, body, headers = {} }: JsonRequest): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method,
      redirect: 'error',
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    text = await response.text();
  } catch (error) {
    throw new TrackingError(`${server} does not answer`, true, { cause: error });
  }
  if (!response.ok) {
    const retry = response.status === 429 || response.status === 408 || response.status >= 500;
    throw new TrackingError(`${server} answered HTTP ${response.status}: ${text.slice(0, 300)}`, retry);
  }
  try {
    return text === '' ? null : JSON.parse(text);
  } catch (error) {
    throw new TrackingError(`${server} answered something that is not JSON`, true, { cause: error });
  }
}
