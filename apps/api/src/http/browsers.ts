/** Calls from web pages of the origins that the operator names; without any, browsers let no page read an answer. */
import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

/** What an SDK in a page acts on or shows; a browser hides every header that is not named. */
const exposedHeaders = [
  'x-request-id',
  'x-should-retry',
  'retry-after',
  'retry-after-ms',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
  'idempotent-replayed',
  'etag',
  'content-range',
  'accept-ranges',
  'content-disposition',
];

/** Before `requireApiKey`: a preflight has no key. */
export async function allowOrigins(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return;
  await app.register(cors, { origin: [...origins], methods: ['GET', 'HEAD', 'POST', 'DELETE'], exposedHeaders, maxAge: 600 });
}
