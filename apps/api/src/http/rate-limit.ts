/**
 * Requests per minute of one API key (or of one address without a valid key), and of all keys of a project whose quota says so. Counted in this process;
 * several replicas each count their share.
 */
import rateLimit from '@fastify/rate-limit';
import type { AuthenticatedKey } from '@rowsmith/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';

export type RateLimiter = (request: FastifyRequest, reply: FastifyReply, key: AuthenticatedKey | null) => Promise<void>;

const windowMs = 60_000;

interface Count {
  readonly of: string;
  readonly max: number;
  readonly remaining: number;
  readonly resetMs: number;
  readonly exceeded: boolean;
}

/** As OpenAI writes it: `1m30s`, `12s`, `250ms`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.ceil(ms))}ms`;
  const seconds = Math.ceil(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

const headersOf = ({ max, remaining, resetMs }: Count) => ({
  'x-ratelimit-limit-requests': String(max),
  'x-ratelimit-remaining-requests': String(remaining),
  'x-ratelimit-reset-requests': duration(resetMs),
});

function exceeded(count: Count): ApiError {
  const seconds = Math.ceil(count.resetMs / 1000);
  return new ApiError(429, {
    message: `Rate limit reached: ${count.max} requests per minute of one ${count.of}. Try again in ${seconds} s.`,
    code: 'rate_limit_exceeded',
    headers: { ...headersOf(count), 'retry-after': String(seconds), 'retry-after-ms': String(count.resetMs) },
  });
}

/** `perMinute` 0: keys and addresses have no limit. Throws ApiError 429 with `retry-after` and `retry-after-ms`, which the SDKs obey. */
export async function makeRateLimiter(app: FastifyInstance, perMinute: number): Promise<RateLimiter> {
  await app.register(rateLimit, { global: false, cache: 10_000 });
  const counter = (callerOf: (request: FastifyRequest) => string, max: number | ((request: FastifyRequest) => number)) =>
    app.createRateLimit({ max, timeWindow: windowMs, keyGenerator: callerOf });
  // Wrong keys count against their address, or guessing would be free; a good key from the same address is not held back.
  const ofCaller = counter(({ apiKey, ip }) => (apiKey === null ? `address ${ip}` : `key ${apiKey.id}`), perMinute);
  const ofProject = counter(
    ({ apiKey }) => `project ${apiKey?.projectId ?? ''}`,
    ({ apiKey }) => apiKey?.projectRequestsPerMinute ?? Number.MAX_SAFE_INTEGER,
  );
  const count = async (of: string, check: typeof ofCaller, request: FastifyRequest): Promise<Count | null> => {
    const state = await check(request);
    if (state.isAllowed) return null;
    return { of, max: state.max, remaining: state.remaining, resetMs: state.ttl, exceeded: state.isExceeded };
  };
  return async (request, reply, key) => {
    const counts = [
      perMinute === 0 ? null : await count(key === null ? 'address' : 'key', ofCaller, request),
      (key?.projectRequestsPerMinute ?? null) === null ? null : await count('project', ofProject, request),
    ].filter((c) => c !== null);
    const over = counts.find((c) => c.exceeded);
    if (over) throw exceeded(over);
    const [tightest] = counts.sort((a, b) => a.remaining - b.remaining);
    if (tightest) reply.headers(headersOf(tightest));
  };
}
