/** The fence: a worker's write holds only while its epoch is the job's newest and the job runs. */
import { type AttemptProgress, type Fenced, heldStatuses, type NewEvent } from '@rowsmith/core';
import { appendEvents } from './append-events.js';
import type { Database, Transaction } from './database.js';

/** Locks the job's row if the epoch owns it, renews its heartbeat, runs `write` in the same transaction; else changes nothing. */
export async function fenced<T>(
  { prisma }: Database,
  jobId: string,
  epoch: number,
  write: (tx: Transaction) => Promise<T>,
): Promise<T | 'fenced'> {
  return prisma.$transaction(async (tx) => {
    const owned = await tx.$executeRaw`
      UPDATE job SET heartbeat_at = clock_timestamp() WHERE id = ${jobId} AND epoch = ${epoch} AND status = ANY (${heldStatuses}::job_status[])`;
    return owned === 0 ? 'fenced' : write(tx);
  });
}

export const okAfter =
  (write: (tx: Transaction) => Promise<unknown>) =>
  async (tx: Transaction): Promise<Fenced> => {
    await write(tx);
    return 'ok';
  };

/** How far the job's last attempts got, for `decideAfterFailure`. A resumed attempt that only repeats old checkpoints has not advanced. */
export async function attemptProgress(tx: Transaction, jobId: string, epoch: number): Promise<AttemptProgress> {
  const [row] = await tx.$queryRaw<{ barren: number; advanced: boolean; failed: number; lost: number }[]>`
    SELECT barren_attempts AS barren, EXISTS (
      SELECT 1 FROM checkpoint c WHERE c.job_id = job.id AND c.epoch = ${epoch}
        AND c.step > ALL (SELECT older.step FROM checkpoint older WHERE older.job_id = job.id AND older.epoch < ${epoch})) AS advanced,
      since.failed, since.lost
    FROM job, LATERAL (
      SELECT count(*) FILTER (WHERE outcome IN ('failed', 'lost'))::int AS failed, count(*) FILTER (WHERE outcome = 'lost')::int AS lost
      FROM attempt a WHERE a.job_id = job.id AND a.epoch < ${epoch} AND a.epoch > COALESCE((
        SELECT c.epoch FROM checkpoint c WHERE c.job_id = job.id ORDER BY c.step DESC, c.epoch LIMIT 1), 0)) AS since
    WHERE id = ${jobId}`;
  if (!row) throw new Error(`attemptProgress: there is no job ${jobId}`);
  return { barrenBefore: row.barren, advanced: row.advanced, sinceProgress: { failed: row.failed, lost: row.lost } };
}

type Outcome = 'succeeded' | 'failed' | 'cancelled' | 'lost' | 'handback' | 'paused' | 'preempted';

export async function endAttempt(
  tx: Transaction,
  jobId: string,
  epoch: number,
  outcome: Outcome,
  errorCode: string | null = null,
): Promise<void> {
  await tx.$executeRaw`
    UPDATE attempt SET ended_at = clock_timestamp(), outcome = ${outcome}::attempt_outcome, error_code = ${errorCode} WHERE job_id = ${jobId} AND epoch = ${epoch} AND ended_at IS NULL`;
}

/** Back into the queue under a new dispatch number; or `paused`, when that was asked for while the attempt ran. */
export async function requeue(
  tx: Transaction,
  jobId: string,
  barrenAttempts: number,
  delayMs: number,
  events: readonly NewEvent[],
): Promise<void> {
  const [row] = await tx.$queryRaw<{ paused: boolean }[]>`
    UPDATE job SET status = CASE status WHEN 'pausing' THEN 'paused'::job_status ELSE 'queued'::job_status END, dispatch_no = dispatch_no + 1,
           barren_attempts = ${barrenAttempts}, phase = NULL, estimated_finish = NULL, heartbeat_at = NULL, released_at = NULL, preempt_requested_at = NULL,
           not_before = clock_timestamp() + ${delayMs} * interval '1 millisecond' WHERE id = ${jobId} RETURNING status = 'paused' AS paused`;
  await appendEvents(tx, jobId, [...events, ...(row?.paused ? [pausedEvent] : [])]);
}

const pausedEvent: NewEvent = { level: 'info', type: 'job.paused', message: 'Fine-tuning job paused' };

/** The count of barren attempts stays: a pause is no progress. */
export async function pauseJob(tx: Transaction, jobId: string): Promise<void> {
  await tx.$executeRaw`
    UPDATE job SET status = 'paused', phase = NULL, estimated_finish = NULL, heartbeat_at = NULL, released_at = NULL, preempt_requested_at = NULL WHERE id = ${jobId}`;
  await appendEvents(tx, jobId, [pausedEvent]);
}

export async function failJob(
  tx: Transaction,
  jobId: string,
  error: { code: string; message: string; param: string | null },
): Promise<void> {
  await tx.$executeRaw`
    UPDATE job SET status = 'failed', finished_at = clock_timestamp(), estimated_finish = NULL, phase = NULL,
           error_code = ${error.code}, error_message = ${error.message}, error_param = ${error.param} WHERE id = ${jobId}`;
  await appendEvents(tx, jobId, [
    { level: 'error', type: 'job.failed', message: error.message, data: { code: error.code, param: error.param } },
  ]);
}

export async function cancelJob(tx: Transaction, jobId: string): Promise<void> {
  await tx.$executeRaw`UPDATE job SET status = 'cancelled', finished_at = clock_timestamp(), estimated_finish = NULL, phase = NULL WHERE id = ${jobId}`;
  await appendEvents(tx, jobId, [{ level: 'info', type: 'job.cancelled', message: 'Fine-tuning job cancelled' }]);
}
