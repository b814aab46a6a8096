import { randomBytes } from 'node:crypto';
import { type JobSpec, newId } from '@rowsmith/contracts';
import type { NewEvent, NewJob } from '@rowsmith/core';
import { webhookDeliveries, webhookTypeFor } from './announce-webhooks.js';
import { eventChannel } from './append-events.js';
import { Prisma } from './generated/client.js';
import { jobColumns } from './records.js';

/** One parameter, whatever it holds: the text of the statement stays the same. */
const jsonOrNull = (value: object | null) => Prisma.sql`${value === null ? null : JSON.stringify(value)}::jsonb`;

/** Jobs of whose objects a job is made (`warm_start_from`, `reuse_rows_of`): those lie below `jobs/<job>/`. */
export function sourceJobs({ warm_start, reuse_rows }: Pick<JobSpec, 'warm_start' | 'reuse_rows'>): readonly string[] {
  return [...new Set([warm_start, reuse_rows].flatMap((ref) => ref?.key.split('/')[1] ?? []))];
}

/**
 * A job, its first two events, and what its webhooks are to hear, in one statement: a transaction of its own, or part of one. Returns the row as a JobRow; nothing is
 * stored and nothing returned when a file of the job, or a job that it starts from, is gone. These are held until commit: a deletion waits, and then sees that this job
 * reads them. KEY SHARE of a job's row bars its deletion and none of its worker's writes.
 */
export function insertJob(job: NewJob, traceparent: string | null): Prisma.Sql {
  const { id, projectId, spec } = job;
  const files = [
    ...new Set([job.trainingFile, ...(spec.mixture ?? []).map(({ file }) => file), ...(job.validationFile ? [job.validationFile] : [])]),
  ];
  const sources = sourceJobs(spec);
  const second: Pick<NewEvent, 'type' | 'message'> = job.autoStart
    ? { type: 'job.queued', message: 'Fine-tuning job is queued' }
    : { type: 'job.paused', message: 'Fine-tuning job waits to be started' };
  const [createdId, secondId] = [newId('event', randomBytes), newId('event', randomBytes)];
  const announced = webhookDeliveries(
    { jobId: id, eventId: secondId, type: webhookTypeFor(second.type) },
    Prisma.sql`SELECT project_id FROM made`,
  );
  return Prisma.sql`
    WITH held AS (SELECT 1 FROM file WHERE project_id = ${projectId} AND id = ANY(${files}::text[]) FOR SHARE),
    sources AS (SELECT 1 FROM job WHERE project_id = ${projectId} AND id = ANY(${sources}::text[]) AND deleted_at IS NULL FOR KEY SHARE),
    made AS (
      INSERT INTO job (id, project_id, status, dispatch_no, next_seq, model, suffix, seed, metadata, training_file, validation_file, hyperparameters, row_sparse, spec,
                       request, total_steps, priority, device_class, max_duration_seconds, traceparent, result_files)
      SELECT ${id}, ${projectId}, ${job.autoStart ? 'queued' : 'paused'}::job_status, ${job.autoStart ? 1 : 0}::int, 3, ${job.model}, ${job.suffix},
             ${job.seed}::int, ${jsonOrNull(job.metadata)}, ${job.trainingFile}, ${job.validationFile}, ${jsonOrNull(job.hyperparameters)},
             ${jsonOrNull(job.rowSparse)}, ${jsonOrNull(spec)}, ${jsonOrNull(job.request)}, ${job.totalSteps}::int, ${job.priority}::int, ${job.deviceClass},
             ${job.maxDurationSeconds}::int, ${traceparent}, '{}'
      WHERE (SELECT count(*) FROM held) = ${files.length}::int AND (SELECT count(*) FROM sources) = ${sources.length}::int
      RETURNING *),
    told AS (
      INSERT INTO event (job_id, seq, id, project_id, level, type, message, data)
      SELECT made.id, e.seq, e.id, made.project_id, 'info', e.type, e.message, '{}'
      FROM made, (VALUES (1, ${createdId}::text, 'job.created', ${`Created fine-tuning job: ${id}`}::text),
                         (2, ${secondId}::text, ${second.type}::text, ${second.message}::text)) AS e(seq, id, type, message) RETURNING 1),
    announced AS (${announced})
    SELECT ${Prisma.raw(jobColumns)}, pg_notify(${eventChannel}, id)::text AS notified FROM made WHERE EXISTS (SELECT 1 FROM told)`;
}
