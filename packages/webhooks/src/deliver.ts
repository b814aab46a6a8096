import { Agent, fetch } from 'undici';
import { checkUrl, DestinationError, type DestinationPolicy, publicLookup } from './destination.js';
import { signedHeaders } from './secret.js';

export interface Delivery {
  readonly url: string;
  /** Of the event: equal in every attempt, so that a receiver can drop repeats. */
  readonly id: string;
  /** JSON text; signed as it is. */
  readonly body: string;
  /** Newest first. */
  readonly secrets: readonly string[];
}

export type DeliveryOutcome =
  | { readonly delivered: true; readonly status: number; readonly milliseconds: number }
  /** status: null when no answer came. retry: false where another attempt cannot help (a forbidden address, 410 Gone). */
  | {
      readonly delivered: false;
      readonly status: number | null;
      readonly milliseconds: number;
      readonly error: string;
      readonly retry: boolean;
      /** From a Retry-After header in seconds. */
      readonly retryAfterSeconds: number | null;
    };

const timeoutMs = 15_000;
/** Of an answer that is kept for the delivery log. */
const keptBytes = 512;

/** Sends webhooks: one connection pool, closed by `close`. */
export class WebhookSender {
  readonly #agent: Agent;

  constructor(private readonly policy: DestinationPolicy) {
    this.#agent = new Agent({
      connect: { timeout: 5_000, ...(policy.allowPrivate ? {} : { lookup: publicLookup }) },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
  }

  /** One attempt. Any 2xx is a delivery; redirects are not followed (the new place was never checked). Never throws. */
  async deliver({ url, id, body, secrets }: Delivery, now: Date = new Date()): Promise<DeliveryOutcome> {
    const began = performance.now();
    const milliseconds = () => Math.round(performance.now() - began);
    const failed = (status: number | null, error: string, retry: boolean, retryAfterSeconds: number | null = null): DeliveryOutcome => ({
      ...{ delivered: false, status, milliseconds: milliseconds(), error, retry, retryAfterSeconds },
    });
    try {
      const response = await fetch(checkUrl(url, this.policy), {
        method: 'POST',
        redirect: 'manual',
        body,
        headers: { 'content-type': 'application/json', 'user-agent': 'rowsmith-webhooks/1', ...signedHeaders({ id, body }, secrets, now) },
        signal: AbortSignal.timeout(timeoutMs),
        dispatcher: this.#agent,
      });
      const answer = await firstBytes(response.body);
      if (response.ok) return { delivered: true, status: response.status, milliseconds: milliseconds() };
      const wait = Number(response.headers.get('retry-after') ?? Number.NaN);
      const retryAfter = Number.isFinite(wait) && wait >= 0 ? wait : null;
      return failed(response.status, `HTTP ${response.status}${answer ? `: ${answer}` : ''}`, response.status !== 410, retryAfter);
    } catch (error) {
      const refusal = refusalIn(error);
      if (refusal) return failed(null, `the URL is not allowed: ${refusal.message}`, false);
      return failed(null, reasonOf(error), true);
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

/** The rest is thrown away: a receiver must not be able to fill our memory. */
async function firstBytes(body: AsyncIterable<Uint8Array> | null): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  if (body) {
    for await (const part of body) {
      parts.push(part);
      bytes += part.length;
      if (bytes >= keptBytes) break;
    }
  }
  return Buffer.concat(parts).subarray(0, keptBytes).toString('utf8');
}

function refusalIn(error: unknown): DestinationError | null {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof DestinationError) return at;
  return null;
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error) return cause.name === 'TimeoutError' ? `no answer within ${timeoutMs / 1000} s` : cause.message;
  return String(cause);
}
