import { isFinal, type JobStore, type NewEvent } from '@rowsmith/core';
import { appendEvents } from './append-events.js';
import type { Database, Transaction } from './database.js';
import type { Job } from './generated/client.js';
import { requireRoomForJob } from './quota.js';
import { jobRecord } from './records.js';

/** Pause and resume of a job as the API asks for them; a running job's worker does the pausing. */
export function createPauseStore({ prisma }: Database): Pick<JobStore, 'pause' | 'resume' | 'start'> {
  /** The job's row, locked until commit: a worker that begins or ends it waits. */
  const change = <T>(projectId: string, id: string, act: (tx: Transaction, row: Job) => Promise<T>) =>
    prisma.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT 1 FROM job WHERE project_id = ${projectId} AND id = ${id} FOR UPDATE`;
      const row = await tx.job.findFirst({ where: { projectId, id, deletedAt: null } });
      if (row === null) return null;
      if (isFinal(row.status)) return 'final' as const;
      return act(tx, row);
    });
  const current = async (tx: Transaction, id: string) => jobRecord(await tx.job.findUniqueOrThrow({ where: { id } }));

  const queue = async (tx: Transaction, { id, projectId }: Job, ...first: NewEvent[]) => {
    await requireRoomForJob(tx, projectId);
    await tx.$executeRaw`
      UPDATE job SET status = 'queued', dispatch_no = dispatch_no + 1, not_before = clock_timestamp(), heartbeat_at = NULL, released_at = NULL WHERE id = ${id}`;
    await appendEvents(tx, id, [...first, { level: 'info', type: 'job.queued', message: 'Fine-tuning job is queued' }]);
  };

  return {
    pause: (projectId, id) =>
      change(projectId, id, async (tx, { status }) => {
        if (status === 'queued' || status === 'validating_files') {
          await tx.$executeRaw`UPDATE job SET status = 'paused', estimated_finish = NULL, phase = NULL WHERE id = ${id}`;
          await appendEvents(tx, id, [{ level: 'info', type: 'job.paused', message: 'Fine-tuning job paused' }]);
        } else if (status === 'running') {
          await tx.$executeRaw`UPDATE job SET status = 'pausing', estimated_finish = NULL WHERE id = ${id}`;
          const message = 'A pause was requested; the worker stops after a checkpoint';
          await appendEvents(tx, id, [{ level: 'info', type: 'job.pause_requested', message }]);
        }
        return current(tx, id);
      }),

    resume: (projectId, id) =>
      change(projectId, id, async (tx, row) => {
        if (row.status === 'pausing') return 'pausing' as const;
        if (row.status === 'paused') await queue(tx, row, { level: 'info', type: 'job.resumed', message: 'Fine-tuning job resumed' });
        return current(tx, id);
      }),

    start: (projectId, id) =>
      change(projectId, id, async (tx, row) => {
        const { status, dispatchNo } = row;
        if ((status === 'paused' || status === 'pausing') && dispatchNo > 0) return 'paused' as const;
        if (status === 'paused') await queue(tx, row);
        return current(tx, id);
      }),
  };
}
