import type { JobIntegration } from '@rowsmith/contracts';
import type { DueTracking, TrackingStore } from '@rowsmith/core';
import { appendEvents } from './append-events.js';
import type { Database } from './database.js';
import { jobRecord } from './records.js';

interface Row {
  readonly job_id: string;
  readonly position: number;
  readonly integration: JobIntegration;
  readonly handle: string | null;
  readonly last_step: number;
  readonly sent_points: number;
  readonly tries: number;
}

/** See the port for the meaning of every method. */
export function createTrackingStore({ prisma }: Database): TrackingStore {
  return {
    async due(limit, leaseSeconds) {
      // The job's own list says what is to be tracked; a row is made when it is first looked at.
      await prisma.$executeRaw`
        INSERT INTO job_tracking (job_id, position)
        SELECT job.id, entry.place - 1 FROM job, jsonb_array_elements(job.request -> 'integrations') WITH ORDINALITY AS entry(value, place)
        WHERE jsonb_typeof(job.request -> 'integrations') = 'array' AND job.started_at IS NOT NULL AND job.deleted_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM job_tracking t WHERE t.job_id = job.id)
        ON CONFLICT DO NOTHING`;
      const rows = await prisma.$queryRaw<Row[]>`
        UPDATE job_tracking t SET next_at = clock_timestamp() + ${leaseSeconds} * interval '1 second'
        FROM job WHERE job.id = t.job_id AND (t.job_id, t.position) IN (
          SELECT d.job_id, d.position FROM job_tracking d JOIN job j ON j.id = d.job_id AND j.deleted_at IS NULL
          WHERE d.finished_at IS NULL AND d.next_at <= clock_timestamp() ORDER BY d.next_at LIMIT ${limit} FOR UPDATE OF d SKIP LOCKED)
        RETURNING t.job_id, t.position, job.request -> 'integrations' -> t.position AS integration, t.handle, t.last_step, t.sent_points, t.tries`;
      const jobs = await prisma.job.findMany({ where: { id: { in: rows.map((row) => row.job_id) } } });
      return rows.flatMap((row): DueTracking[] => {
        const job = jobs.find(({ id }) => id === row.job_id);
        const { position, integration, handle, last_step: lastStep, sent_points: sentPoints, tries } = row;
        return job ? [{ job: jobRecord(job), position, integration, handle, lastStep, sentPoints, tries }] : [];
      });
    },
    async note({ job, position }, { handle, url, lastStep, sentPoints }, next) {
      const seconds = next === 'finished' ? 0 : next.inSeconds;
      await prisma.$executeRaw`
        UPDATE job_tracking SET handle = ${handle}, url = ${url}, last_step = ${lastStep}, sent_points = ${sentPoints}, tries = 0, error = NULL,
               next_at = clock_timestamp() + ${seconds} * interval '1 second', finished_at = CASE WHEN ${next === 'finished'} THEN clock_timestamp() END
        WHERE job_id = ${job.id} AND position = ${position}`;
    },
    async fail({ job, position, integration }, message, retryInSeconds) {
      await prisma.$transaction(async (tx) => {
        await tx.$executeRaw`
          UPDATE job_tracking SET tries = tries + 1, error = ${message}, next_at = clock_timestamp() + ${retryInSeconds ?? 0} * interval '1 second',
                 finished_at = CASE WHEN ${retryInSeconds === null} THEN clock_timestamp() END
          WHERE job_id = ${job.id} AND position = ${position}`;
        if (retryInSeconds === null) {
          const data = { integration: integration.type, position };
          await appendEvents(tx, job.id, [
            { level: 'warn', type: 'warning', message: `Metrics are not sent to ${integration.type}: ${message}`, data },
          ]);
        }
      });
    },
  };
}
