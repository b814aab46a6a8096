/** Requests per minute of one API key (or of one address without a valid key). Counted in this process; several replicas each count their share. */
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';

export type RateLimiter = (request: FastifyRequest, caller: string) => Promise<void>;

const windowMs = 60_000;

/** `perMinute` 0 turns it off. The limiter throws ApiError 429 with `retry-after` and `retry-after-ms`, which the SDKs obey. */
export async function makeRateLimiter(app: FastifyInstance, perMinute: number): Promise<RateLimiter> {
  if (perMinute === 0) return async () => undefined;
  const callers = new WeakMap<FastifyRequest, string>();
  await app.register(rateLimit, { global: false, cache: 10_000 });
  const check = app.createRateLimit({
    max: perMinute,
    timeWindow: windowMs,
    keyGenerator: (request) => callers.get(request) ?? request.ip,
  });
  return async (request, caller) => {
    callers.set(request, caller);
    const state = await check(request);
    if (state.isAllowed || !state.isExceeded) return;
    throw new ApiError(429, {
      message: `Rate limit reached: ${perMinute} requests per minute. Try again in ${state.ttlInSeconds} s.`,
      code: 'rate_limit_exceeded',
      headers: {
        'retry-after': String(state.ttlInSeconds),
        'retry-after-ms': String(state.ttl),
        'x-ratelimit-limit-requests': String(perMinute),
      },
    });
  };
}
