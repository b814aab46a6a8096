import { randomBytes } from 'node:crypto';
import { type ApiKeyId, newId, type ProjectId, type Scope } from '@rowsmith/contracts';
import type { ApiKeyRecord, ApiKeyStore } from '@rowsmith/core';
import type { Database, Transaction } from './database.js';
import type { ApiKey } from './generated/client.js';
import { pageOf } from './page.js';
import { defaultProject } from './project-store.js';

type Row = Omit<ApiKey, 'hash' | 'revokedAt'>;
const record = (row: Row): ApiKeyRecord => ({
  id: row.id as ApiKeyId,
  projectId: row.projectId as ProjectId,
  name: row.name,
  last4: row.last4,
  scopes: row.scopes as Scope[],
  createdAt: row.createdAt,
  expiresAt: row.expiresAt,
  lastUsedAt: row.lastUsedAt,
});

/** See the port for the meaning of every method. */
export function createApiKeyStore({ prisma }: Database): ApiKeyStore {
  const find = (projectId: string, id: string, tx: Transaction = prisma) =>
    tx.apiKey.findFirst({ where: { projectId, id, revokedAt: null } });
  return {
    async findByHash(hash) {
      const [row] = await prisma.$queryRaw<(Row & { perMinute: number | null; stale: boolean })[]>`
        SELECT k.id, k.project_id AS "projectId", k.name, k.last4, k.scopes, k.created_at AS "createdAt", k.expires_at AS "expiresAt",
               k.last_used_at AS "lastUsedAt", p.max_requests_per_minute AS "perMinute",
               k.last_used_at IS NULL OR k.last_used_at <= clock_timestamp() - interval '1 minute' AS stale
        FROM api_key k JOIN project p ON p.id = k.project_id
        WHERE k.hash = ${hash} AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp()) AND p.archived_at IS NULL`;
      if (row === undefined) return null;
      // Several requests may find it stale at once; one of them writes.
      if (row.stale)
        await prisma.$executeRaw`
          UPDATE api_key SET last_used_at = clock_timestamp()
          WHERE id = ${row.id} AND (last_used_at IS NULL OR last_used_at <= clock_timestamp() - interval '1 minute')`;
      return { ...record(row), projectRequestsPerMinute: row.perMinute };
    },
    // Several API processes may start at once: the unique columns decide, nobody fails.
    async ensure({ hash, last4, name }) {
      await prisma.$executeRaw`INSERT INTO project (id, name) VALUES (${newId('project', randomBytes)}, ${defaultProject}) ON CONFLICT (name) DO NOTHING`;
      await prisma.$executeRaw`
        INSERT INTO api_key (id, project_id, name, hash, last4, scopes)
        SELECT ${newId('apiKey', randomBytes)}, id, ${name}, ${hash}, ${last4}, ARRAY['organization'] FROM project WHERE name = ${defaultProject}
        ON CONFLICT (hash) DO NOTHING`;
      return record(await prisma.apiKey.findUniqueOrThrow({ where: { hash } }));
    },
    create: ({ scopes, ...key }, limit) =>
      prisma.$transaction(async (tx) => {
        // Two creations at once count one after the other.
        await tx.$queryRaw`SELECT 1 FROM project WHERE id = ${key.projectId} FOR NO KEY UPDATE`;
        if ((await tx.apiKey.count({ where: { projectId: key.projectId, revokedAt: null } })) >= limit) return 'full';
        return record(await tx.apiKey.create({ data: { ...key, scopes: [...scopes] } }));
      }),
    async get(projectId, id) {
      const row = await find(projectId, id);
      return row && record(row);
    },
    async list(projectId, page) {
      const after = page.after === undefined ? null : await prisma.apiKey.findFirst({ where: { projectId, id: page.after } });
      return pageOf(
        page,
        after,
        ({ where, ...rest }) => prisma.apiKey.findMany({ where: { AND: [{ projectId, revokedAt: null }, where] }, ...rest }),
        record,
      );
    },
    async revoke(projectId, id) {
      const revoked = await prisma.$executeRaw`
        UPDATE api_key SET revoked_at = clock_timestamp() WHERE project_id = ${projectId} AND id = ${id} AND revoked_at IS NULL`;
      return revoked > 0;
    },
    rotate: (projectId, id, next, overlapSeconds) =>
      prisma.$transaction(async (tx) => {
        const [at] = await tx.$queryRaw<{ expired: boolean }[]>`
          SELECT COALESCE(expires_at <= clock_timestamp(), false) AS expired FROM api_key
          WHERE project_id = ${projectId} AND id = ${id} AND revoked_at IS NULL FOR UPDATE`;
        if (at === undefined) return null;
        if (at.expired) return 'expired';
        await tx.$executeRaw`
          INSERT INTO api_key (id, project_id, name, hash, last4, scopes, expires_at)
          SELECT ${next.id}, project_id, name, ${next.hash}, ${next.last4}, scopes, clock_timestamp() + (expires_at - created_at) FROM api_key WHERE id = ${id}`;
        // LEAST passes over null.
        await tx.$executeRaw`
          UPDATE api_key SET expires_at = LEAST(expires_at, clock_timestamp() + ${overlapSeconds} * interval '1 second') WHERE id = ${id}`;
        return record(await tx.apiKey.findUniqueOrThrow({ where: { id: next.id } }));
      }),
  };
}
