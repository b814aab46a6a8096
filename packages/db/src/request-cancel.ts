import { randomBytes } from 'node:crypto';
import { newId, type ProjectId } from '@rowsmith/contracts';
import { finalStatuses, heldStatuses, isFinal, type JobRecord } from '@rowsmith/core';
import { webhookDeliveries, webhookTypeFor } from './announce-webhooks.js';
import { eventChannel } from './append-events.js';
import type { Database } from './database.js';
import { Prisma } from './generated/client.js';
import { jobRecord } from './records.js';

/**
 * Cancels a job that waits, asks the worker of one that is held; with the event and the webhooks that belong to it. One statement, so the row is locked for no
 * round trip: whoever cancels waits as little as can be for a worker that writes, and a worker for them.
 */
export async function requestCancel({ prisma }: Database, projectId: ProjectId, id: string): Promise<JobRecord | 'final' | null> {
  const eventId = newId('event', randomBytes);
  const held = Prisma.sql`${heldStatuses}::job_status[]`;
  const type = webhookTypeFor('job.cancelled');
  const told = await prisma.$executeRaw`
    WITH asked AS (
      UPDATE job SET cancel_requested_at = clock_timestamp(), next_seq = next_seq + 1,
             status = CASE WHEN status = ANY (${held}) THEN status ELSE 'cancelled' END,
             finished_at = CASE WHEN status = ANY (${held}) THEN NULL ELSE clock_timestamp() END,
             estimated_finish = CASE WHEN status = ANY (${held}) THEN estimated_finish END, phase = CASE WHEN status = ANY (${held}) THEN phase END
      WHERE project_id = ${projectId} AND id = ${id} AND status <> ALL (${finalStatuses}::job_status[])
        AND (cancel_requested_at IS NULL OR status <> ALL (${held}))
      RETURNING id, project_id, next_seq - 1 AS seq, status = 'cancelled' AS at_once),
    told AS (
      INSERT INTO event (job_id, seq, id, project_id, level, type, message, data)
      SELECT id, seq, ${eventId}, project_id, 'info', CASE WHEN at_once THEN 'job.cancelled' ELSE 'job.cancel_requested' END,
             CASE WHEN at_once THEN 'Fine-tuning job cancelled' ELSE 'Cancellation was requested; the worker stops the job' END, '{}'
      FROM asked RETURNING 1),
    announced AS (${webhookDeliveries({ jobId: id, eventId, type }, Prisma.sql`SELECT project_id FROM asked WHERE at_once`)})
    SELECT pg_notify(${eventChannel}, id) FROM asked WHERE EXISTS (SELECT 1 FROM told)`;
  const row = await prisma.job.findFirst({ where: { projectId, id, deletedAt: null } });
  if (row === null) return null;
  return told === 0 && isFinal(row.status) ? 'final' : jobRecord(row);
}
