import type { FileId, ProjectId } from '@rowsmith/contracts';
import { isFinal } from '@rowsmith/core';
import type { Database } from './database.js';

/**
 * What the job wrote of the data (events with samples, metrics, checkpoints) is deleted, and its result file; the row stays under `deleted_at`, and its attempts, which
 * quotas count. A transaction and not one statement: what the job's last write stored while we waited for the row must be seen. Objects are the collector's: without
 * these rows nothing needs them, but for what a job that has not ended names in its specification.
 */
export function deleteJob(
  { prisma }: Database,
  projectId: ProjectId,
  id: string,
  resultFile: FileId,
): Promise<'deleted' | 'unfinished' | null> {
  return prisma.$transaction(async (tx) => {
    // Waits for jobs that are just being made from this one (`insertJob` holds it until commit): the collector sees them then.
    await tx.$queryRaw`SELECT 1 FROM job WHERE project_id = ${projectId} AND id = ${id} FOR UPDATE`;
    const row = await tx.job.findFirst({ where: { projectId, id, deletedAt: null }, select: { status: true, resultFiles: true } });
    if (row === null) return null;
    if (!isFinal(row.status)) return 'unfinished';
    await tx.$executeRaw`
      UPDATE job SET deleted_at = clock_timestamp(), model_deleted_at = COALESCE(model_deleted_at, clock_timestamp()) WHERE id = ${id}`;
    const where = { jobId: id };
    await tx.event.deleteMany({ where });
    await tx.metric.deleteMany({ where });
    await tx.checkpoint.deleteMany({ where });
    await tx.file.deleteMany({ where: { projectId, purpose: 'fine_tune_results', id: { in: [...row.resultFiles, resultFile] } } });
    return 'deleted';
  });
}
