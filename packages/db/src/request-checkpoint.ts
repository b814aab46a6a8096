import type { ProjectId } from '@rowsmith/contracts';
import { heldStatuses, type JobRecord } from '@rowsmith/core';
import type { Database } from './database.js';
import { jobRecord } from './records.js';

/**
 * Notes that a checkpoint of the step that the row shows, or of a later one, is owed. The row is locked before checkpoints are looked at: one that is just being stored
 * would else be missed, and what it fulfils would be owed until the next one.
 */
export function requestCheckpoint({ prisma }: Database, projectId: ProjectId, id: string): Promise<JobRecord | 'not_running' | null> {
  return prisma.$transaction(async (tx) => {
    await tx.$queryRaw`SELECT 1 FROM job WHERE project_id = ${projectId} AND id = ${id} FOR UPDATE`;
    const row = await tx.job.findFirst({ where: { projectId, id, deletedAt: null } });
    if (row === null) return null;
    if (!heldStatuses.includes(row.status) || row.cancelRequestedAt !== null) return 'not_running';
    await tx.$executeRaw`
      UPDATE job SET checkpoint_wanted_step = step WHERE id = ${id} AND checkpoint_wanted_step IS NULL AND NOT EXISTS (
        SELECT 1 FROM checkpoint c WHERE c.job_id = ${id} AND c.step >= job.step AND c.quarantined_at IS NULL AND c.removed_at IS NULL)`;
    return jobRecord(row);
  });
}
