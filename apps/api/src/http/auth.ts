/**
 * API keys: `Authorization: Bearer <key>`, or `api-key: <key>` as Azure's clients send it. Stored are only HMACs of keys (they are long and
 * random, so a slow password hash would buy nothing); the look-up by HMAC reveals nothing about a key through its timing.
 */
import { createHmac } from 'node:crypto';
import type { ApiKeyStore, AuthenticatedKey } from '@rowsmith/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';
import type { RateLimiter } from './rate-limit.js';
import { requireScope } from './route-access.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the auth hook on every route that is not public. */
    apiKey: AuthenticatedKey | null;
  }
}

/** The form in which keys are stored and looked up. 64 hex digits. */
export const hashApiKey = (pepper: string, key: string) => createHmac('sha256', pepper).update(key, 'utf8').digest('hex');

export function keyOf(headers: FastifyRequest['headers']): string | null {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  if (bearer !== undefined) return bearer;
  const azure = headers['api-key'];
  return typeof azure === 'string' && azure !== '' && headers.authorization === undefined ? azure : null;
}

const missing = () =>
  new ApiError(401, {
    message: "You didn't provide an API key. Send it in the Authorization header: `Authorization: Bearer YOUR_KEY`.",
    headers: { 'www-authenticate': 'Bearer' },
  });
const wrong = () =>
  new ApiError(401, { message: 'Incorrect API key provided.', code: 'invalid_api_key', headers: { 'www-authenticate': 'Bearer' } });

/** Refuses what has no valid key (401), asks too often (429) or is not allowed to (403), before the body is read. */
export function requireApiKey(app: FastifyInstance, keys: Pick<ApiKeyStore, 'findByHash'>, pepper: string, limit: RateLimiter): void {
  app.decorateRequest('apiKey', null);
  app.addHook('onRequest', async (request, reply) => {
    const { public: open, scope } = request.routeOptions.config;
    if (open) return;
    const key = keyOf(request.headers);
    if (key !== null) request.apiKey = await keys.findByHash(hashApiKey(pepper, key));
    await limit(request, reply, request.apiKey);
    if (key === null) throw missing();
    if (request.apiKey === null) throw wrong();
    // Unknown URLs have none: they are a 404 for every key.
    if (scope !== undefined) requireScope(request, scope);
  });
}

export function callerOf(request: FastifyRequest): AuthenticatedKey {
  if (request.apiKey === null) throw new Error(`${request.routeOptions.url ?? request.url} needs an API key but is declared public`);
  return request.apiKey;
}

/** The caller's project; every store method takes it. */
export const projectOf = (request: FastifyRequest) => callerOf(request).projectId;
