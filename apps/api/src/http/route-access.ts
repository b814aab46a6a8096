/** Every route says what a key must be allowed to do, and every write what it is called in the audit log; one that does not keeps the server from starting. */
import type { AuditAction, Scope } from '@rowsmith/contracts';
import { covers } from '@rowsmith/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answers without an API key. */
    public?: boolean;
    /** What the key must cover. */
    scope?: Scope;
    /** Of writes. */
    action?: AuditAction;
  }
}

/** Must be called before the routes are added. */
export function requireDeclaredAccess(app: FastifyInstance): void {
  app.addHook('onRoute', ({ url, method, config }) => {
    const methods = [method].flat().filter((m) => m !== 'OPTIONS');
    if (methods.length === 0 || config?.public) return;
    const route = `${methods.join(', ')} ${url}`;
    if (config?.scope === undefined) throw new Error(`${route} declares no scope`);
    const writes = !config.scope.endsWith('read') && methods.some((m) => m !== 'GET' && m !== 'HEAD');
    if (writes && config.action === undefined) throw new Error(`${route} writes, but has no action for the audit log`);
  });
}

export const missingScope = (scope: Scope) =>
  new ApiError(403, {
    message: `You have insufficient permissions for this operation. Missing scopes: ${scope}. Check that the API key has the scopes that it needs.`,
    code: 'missing_scope',
  });

/** The 403 of a key that does not cover `scope`. */
export function requireScope(request: FastifyRequest, scope: Scope): void {
  if (request.apiKey === null || !covers(request.apiKey.scopes, scope)) throw missingScope(scope);
}
