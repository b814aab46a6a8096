import { decideAfterFailure, heldStatuses, workerLost } from '@rowsmith/core';
import type { Database } from './database.js';
import { attemptProgress, cancelJob, endAttempt, failJob, requeue } from './fence.js';

interface LostRow {
  readonly id: string;
  readonly epoch: number;
  readonly cancel: boolean;
}

/** Takes running jobs from workers that are gone: silent for `staleMs` by the database's clock, or known to be dead by their id. Returns how many. */
export async function requeueAttempts(
  { prisma }: Database,
  lost: { readonly staleMs: number } | { readonly workerId: string },
): Promise<number> {
  return prisma.$transaction(async (tx) => {
    const rows =
      'staleMs' in lost
        ? await tx.$queryRaw<LostRow[]>`
            SELECT id, epoch, cancel_requested_at IS NOT NULL AS cancel FROM job
            WHERE status = ANY (${heldStatuses}::job_status[]) AND (heartbeat_at IS NULL OR heartbeat_at < clock_timestamp() - ${lost.staleMs} * interval '1 millisecond') FOR UPDATE SKIP LOCKED`
        : await tx.$queryRaw<LostRow[]>`
            SELECT j.id, j.epoch, j.cancel_requested_at IS NOT NULL AS cancel FROM job j JOIN attempt a ON a.job_id = j.id AND a.epoch = j.epoch
            WHERE j.status = ANY (${heldStatuses}::job_status[]) AND a.worker_id = ${lost.workerId} FOR UPDATE OF j`;
    for (const row of rows) {
      const decision = decideAfterFailure({ class: 'infra', code: workerLost }, await attemptProgress(tx, row.id, row.epoch));
      await endAttempt(tx, row.id, row.epoch, 'lost', workerLost);
      if (row.cancel) await cancelJob(tx, row.id);
      else if (decision.kind === 'retry') {
        const message = `The worker of attempt ${row.epoch} was lost; the job goes on from the last checkpoint`;
        await requeue(tx, row.id, decision.barrenAttempts, 0, [
          { level: 'warn', type: 'attempt.lost', message, data: { attempt: row.epoch, code: workerLost } },
        ]);
      } else {
        const message = 'Workers were lost several times in a row without progress: the job seems to kill them';
        await failJob(tx, row.id, { code: 'poison', message, param: null });
      }
    }
    return rows.length;
  });
}
