import { randomBytes } from 'node:crypto';
import { newId } from '@rowsmith/contracts';
import { type AttemptStore, decideAfterFailure, heldStatuses, sourcesOf } from '@rowsmith/core';
import { appendEvents } from './append-events.js';
import { storeMetrics } from './attempt-metrics.js';
import { type Database, jsonb } from './database.js';
import { ofKind } from './device-kind.js';
import { attemptProgress, cancelJob, endAttempt, failJob, fenced, okAfter, pauseJob, requeue } from './fence.js';
import { Prisma } from './generated/client.js';
import { checkpointRecord, jobRecord } from './records.js';
import { requeueAttempts } from './requeue-attempts.js';

/** Of workers that do not say what they have. */
const defaultDeviceClass = 'cpu';

/** Jobs as a worker sees them: every write after `begin` is conditional on its epoch. */
export function createAttemptStore(database: Database): AttemptStore {
  const { prisma } = database;
  return {
    async begin(jobId, workerId, deviceClass = defaultDeviceClass) {
      return prisma.$transaction(async (tx) => {
        // Of several workers with the same wake-up, one finds the row still queued.
        const [row] = await tx.$queryRaw<{ epoch: number; project_id: string; remaining_ms: number | null }[]>`
          UPDATE job SET status = 'running', epoch = epoch + 1, heartbeat_at = clock_timestamp(), started_at = COALESCE(started_at, clock_timestamp()),
                 device_class = ${deviceClass}, preempt_requested_at = NULL
          WHERE id = ${jobId} AND status = ANY (${sourcesOf('running')}::job_status[]) AND not_before <= clock_timestamp()
            AND COALESCE(device_class, ${deviceClass}) = ${deviceClass} AND ${ofKind(Prisma.sql`${deviceClass}`)}
          RETURNING epoch, project_id, max_duration_seconds * 1000 - (
            SELECT COALESCE(sum(extract(epoch FROM a.ended_at - a.started_at)) * 1000, 0) FROM attempt a WHERE a.job_id = job.id)::float8 AS remaining_ms`;
        if (!row) return 'not_runnable';
        await tx.attempt.create({ data: { jobId, epoch: row.epoch, projectId: row.project_id, workerId, deviceClass } });
        const again = row.epoch > 1 ? ` (attempt ${row.epoch})` : '';
        await appendEvents(tx, jobId, [
          { level: 'info', type: 'job.running', message: `Fine-tuning job started${again}`, data: { attempt: row.epoch } },
        ]);
        const job = await tx.job.findUniqueOrThrow({ where: { id: jobId } });
        const checkpoints = await tx.checkpoint.findMany({
          where: { jobId, quarantinedAt: null, removedAt: null },
          orderBy: [{ step: 'desc' }, { epoch: 'desc' }],
        });
        return {
          ...{ job: jobRecord(job), epoch: row.epoch, checkpoints: checkpoints.map(checkpointRecord) },
          ...{ remainingMs: row.remaining_ms, traceparent: job.traceparent },
        };
      });
    },

    async heartbeat(jobId, epoch) {
      const [row] = await prisma.$queryRaw<{ cancel: boolean; status: string; preempt: boolean; wanted: number | null }[]>`
        UPDATE job SET heartbeat_at = clock_timestamp() WHERE id = ${jobId} AND epoch = ${epoch} AND status = ANY (${heldStatuses}::job_status[])
        RETURNING cancel_requested_at IS NOT NULL AS cancel, status::text AS status, preempt_requested_at IS NOT NULL AS preempt,
                  checkpoint_wanted_step AS wanted`;
      if (!row) return { fence: 'fenced', stop: null, wantedCheckpoint: null };
      const stop = row.cancel ? 'cancel' : row.status === 'pausing' ? 'pause' : row.preempt ? 'preempt' : null;
      return { fence: 'ok', stop, wantedCheckpoint: row.wanted };
    },

    async progress(jobId, epoch, change, events) {
      return fenced(
        database,
        jobId,
        epoch,
        okAfter(async (tx) => {
          await tx.job.update({
            where: { id: jobId },
            data: {
              ...(change.phase === undefined ? {} : { phase: change.phase }),
              ...(change.totalSteps === undefined ? {} : { totalSteps: change.totalSteps }),
              ...(change.estimatedFinish === undefined ? {} : { estimatedFinish: change.estimatedFinish }),
            },
          });
          await appendEvents(tx, jobId, events);
        }),
      );
    },

    metrics: (jobId, epoch, points) =>
      fenced(
        database,
        jobId,
        epoch,
        okAfter((tx) => storeMetrics(tx, jobId, points)),
      ),

    async checkpoint(jobId, epoch, c) {
      return fenced(
        database,
        jobId,
        epoch,
        okAfter(async (tx) => {
          const [job] = await tx.$queryRaw<{ project_id: string }[]>`
          UPDATE job SET barren_attempts = CASE WHEN ${c.step} > checkpoint_step THEN 0 ELSE barren_attempts END, checkpoint_step = GREATEST(checkpoint_step, ${c.step}),
                 checkpoint_wanted_step = CASE WHEN checkpoint_wanted_step > ${c.step} THEN checkpoint_wanted_step END
          WHERE id = ${jobId} RETURNING project_id`;
          const fresh = await tx.$executeRaw`
          INSERT INTO checkpoint (id, job_id, project_id, step, epoch, manifest_key, manifest_sha256, metrics)
          VALUES (${newId('checkpoint', randomBytes)}, ${jobId}, ${job?.project_id}, ${c.step}, ${epoch}, ${c.manifestKey}, ${c.manifestSha256}, ${jsonb(c.metrics)})
          ON CONFLICT (job_id, epoch, step) DO NOTHING`;
          if (fresh > 0)
            await appendEvents(tx, jobId, [
              { level: 'info', type: 'checkpoint.created', message: `Checkpoint created at step ${c.step}`, data: { step: c.step } },
            ]);
        }),
      );
    },

    async succeed(jobId, epoch, result) {
      return fenced(
        database,
        jobId,
        epoch,
        okAfter(async (tx) => {
          await tx.$executeRaw`
          UPDATE job SET status = 'succeeded', finished_at = clock_timestamp(), estimated_finish = NULL, phase = NULL, step = ${result.step},
                 trained_tokens = ${result.trainedTokens}, fine_tuned_model = ${result.fineTunedModel}, adapter_manifest_key = ${result.adapterManifestKey},
                 adapter_manifest_sha256 = ${result.adapterManifestSha256} WHERE id = ${jobId}`;
          await endAttempt(tx, jobId, epoch, 'succeeded');
          await appendEvents(tx, jobId, [
            {
              level: 'info',
              type: 'adapter.created',
              message: `New fine-tuned model created: ${result.fineTunedModel}`,
              data: { fine_tuned_model: result.fineTunedModel },
            },
            { level: 'info', type: 'job.succeeded', message: 'The job has successfully completed' },
          ]);
        }),
      );
    },

    async fail(jobId, epoch, failure) {
      const decided = await fenced(database, jobId, epoch, async (tx) => {
        const decision = decideAfterFailure(failure, await attemptProgress(tx, jobId, epoch));
        await endAttempt(tx, jobId, epoch, 'failed', failure.code);
        if (decision.kind === 'retry') {
          const message = `Attempt ${epoch} failed (${failure.message}); it goes on from the last checkpoint`;
          await requeue(tx, jobId, decision.barrenAttempts, decision.delayMs, [
            { level: 'warn', type: 'attempt.lost', message, data: { code: failure.code, attempt: epoch } },
          ]);
          return 'retry' as const;
        }
        const repeated =
          decision.code === 'poison' ? `The job failed several times in a row without progress; last: ${failure.message}` : failure.message;
        await failJob(tx, jobId, { code: decision.code ?? failure.code, message: repeated, param: failure.param });
        return 'failed' as const;
      });
      return decided === 'fenced' ? { fence: 'fenced', decision: 'failed' } : { fence: 'ok', decision: decided };
    },

    async cancelled(jobId, epoch) {
      return fenced(
        database,
        jobId,
        epoch,
        okAfter(async (tx) => {
          await endAttempt(tx, jobId, epoch, 'cancelled');
          await cancelJob(tx, jobId);
        }),
      );
    },

    reclaim: (workerId) => requeueAttempts(database, { workerId }),

    async handback(jobId, epoch, why) {
      return fenced(
        database,
        jobId,
        epoch,
        okAfter(async (tx) => {
          const { barrenAttempts, cancelRequestedAt } = await tx.job.findUniqueOrThrow({ where: { id: jobId } });
          await endAttempt(tx, jobId, epoch, why ?? 'handback');
          if (cancelRequestedAt !== null) return cancelJob(tx, jobId);
          const message =
            why === 'preempted'
              ? 'The job gave its place to one of higher priority and waits for the next'
              : 'The worker stops; the job waits for the next one';
          await requeue(tx, jobId, barrenAttempts, 0, [
            { level: 'info', type: 'job.queued', message, data: { attempt: epoch, ...(why ? { reason: why } : {}) } },
          ]);
        }),
      );
    },

    async paused(jobId, epoch) {
      return fenced(
        database,
        jobId,
        epoch,
        okAfter(async (tx) => {
          const { cancelRequestedAt } = await tx.job.findUniqueOrThrow({ where: { id: jobId } });
          await endAttempt(tx, jobId, epoch, 'paused');
          if (cancelRequestedAt !== null) return cancelJob(tx, jobId);
          await pauseJob(tx, jobId);
        }),
      );
    },

    async checkpointRemoved(jobId, epoch, manifestKey) {
      // Not `fenced`: the newest attempt may say so after its result stands.
      const [own] = await prisma.$queryRaw<{ epoch: number }[]>`
        WITH own AS (SELECT epoch FROM job WHERE id = ${jobId} AND epoch = ${epoch}),
        marked AS (
          UPDATE checkpoint SET removed_at = clock_timestamp()
          WHERE job_id = ${jobId} AND manifest_key = ${manifestKey} AND removed_at IS NULL AND EXISTS (SELECT 1 FROM own))
        SELECT epoch FROM own`;
      return own ? 'ok' : 'fenced';
    },

    async quarantine(jobId, epoch, manifestKey, reason) {
      return fenced(
        database,
        jobId,
        epoch,
        okAfter(
          (tx) => tx.$executeRaw`
          UPDATE checkpoint SET quarantined_at = clock_timestamp(), quarantine_reason = ${reason}
          WHERE job_id = ${jobId} AND manifest_key = ${manifestKey} AND quarantined_at IS NULL`,
        ),
      );
    },
  };
}
