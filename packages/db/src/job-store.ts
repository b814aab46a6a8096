import type { CreateJobBody } from '@rowsmith/contracts';
import type { JobStore, NewJob, TrainingSpeed } from '@rowsmith/core';
import { currentTraceparent } from '@rowsmith/telemetry';
import type { Database, Transaction } from './database.js';
import { deleteJob } from './delete-job.js';
import { Prisma } from './generated/client.js';
import { dropOldKeys, replayed } from './idempotency.js';
import { insertJob, sourceJobs } from './insert-job.js';
import { pageOf } from './page.js';
import { createPauseStore } from './pause-store.js';
import { polledReads } from './polled-reads.js';
import { hasJobQuota, requireRoomForJob } from './quota.js';
import { checkpointRecord, type JobRow, jobRecord } from './records.js';
import { requestCancel } from './request-cancel.js';
import { requestCheckpoint } from './request-checkpoint.js';

/** Jobs that an estimate goes by: enough to see a spread, few enough to be of today's machines. */
const mostMeasured = 20;

/** Thrown to roll back what the transaction already wrote (the idempotency key). */
class SomethingGone extends Error {}

/** Jobs as the API sees them; see the port for the meaning of every method. */
export function createJobStore(database: Database): JobStore {
  const { prisma } = database;
  const polled = polledReads(database);
  const find = (projectId: string, id: string, tx: Transaction = prisma) => tx.job.findFirst({ where: { projectId, id, deletedAt: null } });
  const exists = async (projectId: string, id: string) =>
    (await prisma.job.findFirst({ where: { projectId, id, deletedAt: null }, select: { id: true } })) !== null;
  /** Which of the things that the job names is there no more. */
  const gone = async ({ projectId, spec }: NewJob) => {
    const sources = sourceJobs(spec);
    const there = await prisma.job.count({ where: { projectId, id: { in: [...sources] }, deletedAt: null } });
    return there < sources.length ? ('job_gone' as const) : ('file_gone' as const);
  };
  return {
    async create(job, idempotency) {
      const traceparent = currentTraceparent();
      if (idempotency === undefined && !(job.autoStart && (await hasJobQuota(database, job.projectId)))) {
        const [row] = await database.rows<JobRow>(insertJob(job, traceparent));
        return row === undefined ? gone(job) : { job: jobRecord(row), replayed: false };
      }
      const create = prisma.$transaction(async (tx) => {
        if (idempotency) {
          await dropOldKeys(tx, job.projectId, idempotency.key);
          // A second request with the same key waits here for the first one's commit.
          const fresh = await tx.$executeRaw`
            INSERT INTO idempotency_key (project_id, key, body_sha256, job_id) VALUES (${job.projectId}, ${idempotency.key}, ${idempotency.bodySha256}, ${job.id})
            ON CONFLICT (project_id, key) DO NOTHING`;
          if (fresh === 0) {
            const first = await replayed(tx, job.projectId, idempotency);
            if (first !== null) return typeof first === 'string' ? first : { job: first, replayed: true };
            // Its job's row is not there: the key is free.
            await tx.$executeRaw`
              UPDATE idempotency_key SET body_sha256 = ${idempotency.bodySha256}, job_id = ${job.id}, created_at = clock_timestamp()
              WHERE project_id = ${job.projectId} AND key = ${idempotency.key}`;
          }
        }
        if (job.autoStart) await requireRoomForJob(tx, job.projectId);
        const [row] = await tx.$queryRaw<JobRow[]>(insertJob(job, traceparent));
        if (row === undefined) throw new SomethingGone();
        return { job: jobRecord(row), replayed: false };
      });
      return create.catch((error: unknown) => {
        if (error instanceof SomethingGone) return gone(job);
        throw error;
      });
    },

    replay: (projectId, idempotency) => replayed(prisma, projectId, idempotency),
    dropOldKeys: () => dropOldKeys(prisma),

    async request(projectId, id) {
      const row = await prisma.job.findFirst({ where: { projectId, id, deletedAt: null }, select: { request: true } });
      return (row?.request ?? null) as CreateJobBody | null;
    },

    get: polled.job,

    async list(projectId, { metadata, ...page }) {
      const after = page.after === undefined ? null : await find(projectId, page.after);
      if (metadata === undefined) {
        const rows = await polled.jobs(projectId, page, after);
        return { items: rows.slice(0, page.limit).map(jobRecord), hasMore: rows.length > page.limit };
      }
      const wanted =
        metadata === 'none'
          ? [{ metadata: { equals: Prisma.AnyNull } }]
          : Object.entries(metadata).map(([key, value]) => ({ metadata: { path: [key], equals: value } }));
      return pageOf(
        page,
        after,
        ({ where, ...rest }) => prisma.job.findMany({ where: { AND: [{ projectId, deletedAt: null }, ...wanted, where] }, ...rest }),
        jobRecord,
      );
    },

    cancel: (projectId, id) => requestCancel(database, projectId, id),
    requestCheckpoint: (projectId, id) => requestCheckpoint(database, projectId, id),
    delete: (projectId, id, resultFile) => deleteJob(database, projectId, id, resultFile),

    ...createPauseStore(database),

    async events(projectId, id, page) {
      const after = page.after === undefined ? null : await prisma.event.findFirst({ where: { jobId: id, projectId, id: page.after } });
      if (after === null && page.after !== undefined) return (await exists(projectId, id)) ? 'no_cursor' : null;
      const found = await polled.events(projectId, id, page.order ?? 'desc', after?.seq ?? null, page.limit + 1);
      // A job has events from the first; only an empty page leaves the question whether there is one.
      if (found.length === 0 && !(await exists(projectId, id))) return null;
      return { items: found.slice(0, page.limit), hasMore: found.length > page.limit };
    },

    async eventsSince(projectId, id, afterSeq, limit) {
      const found = await polled.events(projectId, id, 'asc', afterSeq, limit);
      return found.length === 0 && !(await exists(projectId, id)) ? null : found;
    },

    async metrics(projectId, id, afterStep, limit) {
      const points = await polled.metrics(projectId, id, afterStep, limit);
      return points.length === 0 && !(await exists(projectId, id)) ? null : points;
    },

    async checkpoint(projectId, checkpointId) {
      const row = await prisma.checkpoint.findFirst({ where: { id: checkpointId, projectId } });
      return row && checkpointRecord(row);
    },

    async checkpoints(projectId, id, page, which = 'all') {
      if (!(await exists(projectId, id))) return null;
      const after = page.after === undefined ? null : await prisma.checkpoint.findFirst({ where: { jobId: id, id: page.after } });
      if (after === null && page.after !== undefined) return 'no_cursor';
      return pageOf(
        page,
        after,
        ({ where, ...rest }) =>
          prisma.checkpoint.findMany({ where: { AND: [{ jobId: id, ...(which === 'kept' ? { removedAt: null } : {}) }, where] }, ...rest }),
        checkpointRecord,
      );
    },

    async succeededByModel(projectId, fineTunedModel) {
      const row = await prisma.job.findFirst({ where: { projectId, fineTunedModel, status: 'succeeded', modelDeletedAt: null } });
      return row && jobRecord(row);
    },

    async deleteModel(projectId, fineTunedModel) {
      const deleted = await prisma.$executeRaw`
        UPDATE job SET model_deleted_at = clock_timestamp()
        WHERE project_id = ${projectId} AND fine_tuned_model = ${fineTunedModel} AND status = 'succeeded' AND model_deleted_at IS NULL`;
      return deleted > 0;
    },

    speeds: (baseSha256) => prisma.$queryRaw<TrainingSpeed[]>`
      WITH finished AS (
        SELECT id, device_class, epoch, extract(epoch FROM finished_at - started_at) AS took FROM job
        WHERE status = 'succeeded' AND deleted_at IS NULL AND device_class IS NOT NULL AND spec ->> 'base_sha256' = ${baseSha256} ORDER BY created_at DESC LIMIT ${mostMeasured}),
      rates AS (
        SELECT f.device_class, sum(m.tokens) / sum(m.seconds) AS rate, CASE WHEN min(f.epoch) = 1 THEN GREATEST(0, min(f.took) - sum(m.seconds)) END AS overhead
        FROM finished f JOIN metric m ON m.job_id = f.id AND m.tokens > 0 AND m.seconds > 0 GROUP BY f.id, f.device_class)
      SELECT device_class AS "deviceClass", count(*)::int AS jobs, min(rate)::float8 AS slowest, max(rate)::float8 AS fastest,
             COALESCE(min(overhead), 0)::float8 AS "overheadSeconds"
      FROM rates GROUP BY device_class ORDER BY count(*) DESC, device_class`,

    async listFineTuned(projectId) {
      const rows = await prisma.job.findMany({
        where: { projectId, status: 'succeeded', fineTunedModel: { not: null }, modelDeletedAt: null },
        orderBy: { createdAt: 'desc' },
      });
      return rows.map(jobRecord);
    },
  };
}
