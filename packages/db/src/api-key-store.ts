import { randomBytes } from 'node:crypto';
import { type ApiKeyId, newId, type ProjectId } from '@rowsmith/contracts';
import type { ApiKeyRecord, ApiKeyStore } from '@rowsmith/core';
import type { Database } from './database.js';
import type { ApiKey } from './generated/client.js';

const record = (row: ApiKey): ApiKeyRecord => ({
  id: row.id as ApiKeyId,
  projectId: row.projectId as ProjectId,
  name: row.name,
  last4: row.last4,
  expiresAt: row.expiresAt,
});

export function createApiKeyStore({ prisma }: Database): ApiKeyStore {
  return {
    async findByHash(hash) {
      const [row] = await prisma.$queryRaw<{ id: string }[]>`
        SELECT id FROM api_key WHERE hash = ${hash} AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())`;
      const key = row && (await prisma.apiKey.findUnique({ where: { id: row.id } }));
      return key ? record(key) : null;
    },
    // Several API processes may start at once: the unique columns decide, nobody fails.
    async ensure({ hash, last4, name }) {
      await prisma.$executeRaw`INSERT INTO project (id, name) VALUES (${newId('project', randomBytes)}, 'default') ON CONFLICT (name) DO NOTHING`;
      await prisma.$executeRaw`
        INSERT INTO api_key (id, project_id, name, hash, last4)
        SELECT ${newId('apiKey', randomBytes)}, id, ${name}, ${hash}, ${last4} FROM project WHERE name = 'default' ON CONFLICT (hash) DO NOTHING`;
      return record(await prisma.apiKey.findUniqueOrThrow({ where: { hash } }));
    },
  };
}
