/**
 * Every write that took effect, and every one that the key was not allowed to, is written down before it is answered: who, what, to which object, from
 * where. Never what was sent or answered, which may hold secrets.
 */
import { randomBytes } from 'node:crypto';
import { newId, type ProjectId } from '@rowsmith/contracts';
import type { AuditStore } from '@rowsmith/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** Id of what a write made or changed. */
    auditResource: string | null;
    /** Where it did so, if that is not the key's own project. */
    auditProject: ProjectId | null;
  }
}

function namedIn(request: FastifyRequest): string | null {
  const { key, id } = (request.params ?? {}) as Readonly<Record<string, string | undefined>>;
  return key ?? id ?? null;
}

export function keepAuditLog(app: FastifyInstance, audit: Pick<AuditStore, 'record'>): void {
  app.decorateRequest('auditResource', null);
  app.decorateRequest('auditProject', null);
  app.addHook('preSerialization', async (request, _reply, payload: unknown) => {
    const { id } = (payload ?? {}) as { readonly id?: unknown };
    if (typeof id === 'string') request.auditResource = id;
    return payload;
  });
  app.addHook('onSend', async (request, reply) => {
    const { action } = request.routeOptions.config;
    const { statusCode: status } = reply;
    if (action === undefined || request.apiKey === null || (status >= 400 && status !== 403)) return;
    const entry = {
      id: newId('auditLog', randomBytes),
      projectId: request.auditProject ?? request.apiKey.projectId,
      keyId: request.apiKey.id,
      action,
      resourceId: request.auditResource ?? namedIn(request),
      status,
      ip: request.ip,
      requestId: request.id,
    };
    try {
      await audit.record(entry);
    } catch (error) {
      // What was done is done: a failure in the answer would make the client do it again. The log line keeps the entry.
      request.log.error({ op: 'audit', err: error, entry }, 'an audit entry could not be stored');
    }
  });
}
