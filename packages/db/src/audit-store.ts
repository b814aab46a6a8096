import type { ApiKeyId, AuditAction, AuditLogId, ProjectId } from '@rowsmith/contracts';
import type { AuditFilter, AuditStore } from '@rowsmith/core';
import type { Database } from './database.js';
import { pageOf } from './page.js';

const among = (values: readonly string[] | null | undefined) => (values == null ? {} : { in: [...values] });

function where({ projectIds, actions, keyIds, resourceIds, from, until }: AuditFilter) {
  return {
    ...(projectIds === null ? {} : { projectId: among(projectIds) }),
    ...(actions ? { action: among(actions) } : {}),
    ...(keyIds ? { apiKeyId: among(keyIds) } : {}),
    ...(resourceIds ? { resourceId: among(resourceIds) } : {}),
    createdAt: {
      ...(from === undefined ? {} : { gte: new Date(from * 1000) }),
      ...(until === undefined ? {} : { lt: new Date((until + 1) * 1000) }),
    },
  };
}

const names = { project: { select: { name: true } }, apiKey: { select: { name: true } } } as const;

const insertEntry = `
  INSERT INTO audit_log (id, project_id, api_key_id, action, resource_id, status, ip, request_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`;

/** Entries are only ever added, and forgotten by their age. See the port for the meaning of every method. */
export function createAuditStore({ prisma, rows }: Database): AuditStore {
  return {
    async record({ id, projectId, keyId, action, resourceId, status, ip, requestId }) {
      await rows({ text: insertEntry, values: [id, projectId, keyId, action, resourceId, status, ip, requestId] });
    },
    dropOlder: (days, batch) => prisma.$executeRaw`
      DELETE FROM audit_log WHERE id IN (
        SELECT id FROM audit_log WHERE created_at < clock_timestamp() - ${days} * interval '1 day' ORDER BY created_at LIMIT ${batch})`,
    async list(filter, page) {
      const seen = filter.projectIds === null ? {} : { projectId: among(filter.projectIds) };
      const after = page.after === undefined ? null : await prisma.auditLog.findFirst({ where: { ...seen, id: page.after } });
      if (after === null && page.after !== undefined) return 'no_cursor';
      return pageOf(
        page,
        after,
        (paging) =>
          prisma.auditLog.findMany({
            where: { AND: [where(filter), paging.where] },
            orderBy: paging.orderBy,
            take: paging.take,
            include: names,
          }),
        ({ project, apiKey, apiKeyId, id, projectId, action, ...row }) => ({
          ...row,
          id: id as AuditLogId,
          projectId: projectId as ProjectId,
          projectName: project.name,
          keyId: apiKeyId as ApiKeyId,
          keyName: apiKey.name,
          action: action as AuditAction,
        }),
      );
    },
  };
}
