import { idempotencyHours, type JobRecord } from '@rowsmith/core';
import type { Transaction } from './database.js';
import { Prisma } from './generated/client.js';
import { jobRecord } from './records.js';

/** Forgets keys that are too old to count, all of them or one: a key is free again after `idempotencyHours` even before anybody sweeps. */
export async function dropOldKeys(tx: Transaction, projectId?: string, key?: string): Promise<number> {
  const one = projectId === undefined ? Prisma.empty : Prisma.sql`AND project_id = ${projectId} AND key = ${key}`;
  return tx.$executeRaw`DELETE FROM idempotency_key WHERE created_at < clock_timestamp() - ${idempotencyHours} * interval '1 hour' ${one}`;
}

export async function replayed(
  tx: Transaction,
  projectId: string,
  { key, bodySha256 }: { readonly key: string; readonly bodySha256: string },
): Promise<JobRecord | 'other_body' | 'deleted' | null> {
  const [row] = await tx.$queryRaw<{ body: string; job: string }[]>`
    SELECT body_sha256 AS body, job_id AS job FROM idempotency_key
    WHERE project_id = ${projectId} AND key = ${key} AND created_at >= clock_timestamp() - ${idempotencyHours} * interval '1 hour'`;
  if (row === undefined) return null;
  if (row.body !== bodySha256) return 'other_body';
  const job = await tx.job.findUnique({ where: { id: row.job } });
  // Not made once more for who only asks again: that would run it a second time.
  if (job && job.deletedAt !== null) return 'deleted';
  return job && jobRecord(job);
}
