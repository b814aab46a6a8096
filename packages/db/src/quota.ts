/** Quotas of projects, checked inside the transaction that would exceed them. null: no limit. */
import { heldStatuses, QuotaExceededError } from '@rowsmith/core';
import type { Database, Transaction } from './database.js';
import type { Project } from './generated/client.js';

/**
 * What is counted below is counted after the project's row was locked until commit, so that two requests count one after the other.
 * A project without the quota locks nothing.
 */
async function limitOf(tx: Transaction, projectId: string, column: keyof Project & `max${string}`): Promise<number | null> {
  const limit = async () => (await tx.project.findUnique({ where: { id: projectId } }))?.[column] ?? null;
  if ((await limit()) === null) return null;
  // Not the lock that inserts of other rows of the project would wait for.
  await tx.$queryRaw`SELECT 1 FROM project WHERE id = ${projectId} FOR NO KEY UPDATE`;
  const held = await limit();
  return held === null ? null : Number(held);
}

export async function queuedJobs(tx: Transaction, projectId: string): Promise<number> {
  return tx.job.count({ where: { projectId, status: { in: ['queued', 'validating_files'] } } });
}

export async function runningJobs(tx: Transaction, projectId: string): Promise<number> {
  return tx.job.count({ where: { projectId, status: { in: [...heldStatuses] } } });
}

/** Files, and what pending uploads announced. */
export async function storedBytes(tx: Transaction, projectId: string, exceptUpload = ''): Promise<number> {
  const [row] = await tx.$queryRaw<{ bytes: number }[]>`
    SELECT (COALESCE((SELECT sum(bytes) FROM file WHERE project_id = ${projectId}), 0) +
            COALESCE((SELECT sum(bytes) FROM upload WHERE project_id = ${projectId} AND id <> ${exceptUpload} AND completed_at IS NULL
                      AND cancelled_at IS NULL AND expires_at > clock_timestamp()), 0))::float8 AS bytes`;
  return row?.bytes ?? 0;
}

/** The calendar month in UTC, and the time of attempts in it so far. */
export async function deviceTime(tx: Transaction, projectId: string): Promise<{ start: Date; end: Date; seconds: number }> {
  const [row] = await tx.$queryRaw<{ start: Date; end: Date; seconds: number }[]>`
    WITH month AS (SELECT date_trunc('month', clock_timestamp(), 'UTC') AS start)
    SELECT month.start, (month.start AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' AS end, COALESCE((
      SELECT sum(extract(epoch FROM COALESCE(a.ended_at, clock_timestamp()) - GREATEST(a.started_at, month.start)))
      FROM attempt a WHERE a.project_id = ${projectId} AND COALESCE(a.ended_at, clock_timestamp()) > month.start), 0)::float8 AS seconds
    FROM month`;
  if (row === undefined) throw new Error('the database has no month');
  return row;
}

/** Whether `requireRoomForJob` has anything to count. */
export async function hasJobQuota({ rows }: Database, projectId: string): Promise<boolean> {
  const text = 'SELECT max_queued_jobs IS NOT NULL OR max_device_seconds_per_month IS NOT NULL AS limited FROM project WHERE id = $1';
  return (await rows<{ limited: boolean }>({ text, values: [projectId] }))[0]?.limited ?? false;
}

/** One more job is queued. Throws QuotaExceededError. */
export async function requireRoomForJob(tx: Transaction, projectId: string): Promise<void> {
  const queue = await limitOf(tx, projectId, 'maxQueuedJobs');
  if (queue !== null) {
    const used = await queuedJobs(tx, projectId);
    if (used >= queue) throw new QuotaExceededError('queued_jobs', queue, used);
  }
  const seconds = await limitOf(tx, projectId, 'maxDeviceSecondsPerMonth');
  if (seconds !== null) {
    const { seconds: used } = await deviceTime(tx, projectId);
    if (used >= seconds) throw new QuotaExceededError('device_seconds_per_month', seconds, Math.floor(used));
  }
}

/** So many more bytes are kept. Throws QuotaExceededError. */
export async function requireStorage(tx: Transaction, projectId: string, bytes: number, exceptUpload?: string): Promise<void> {
  const limit = await limitOf(tx, projectId, 'maxStorageBytes');
  if (limit === null) return;
  const used = await storedBytes(tx, projectId, exceptUpload);
  if (used + bytes > limit) throw new QuotaExceededError('storage_bytes', limit, used);
}
