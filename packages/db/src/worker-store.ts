import type { JobId, WorkerId } from '@rowsmith/contracts';
import { heldStatuses, type WorkerStore } from '@rowsmith/core';
import type { Database } from './database.js';
import { ofKind } from './device-kind.js';
import { Prisma } from './generated/client.js';

interface Row {
  readonly id: WorkerId;
  readonly deviceClass: string;
  readonly slots: number;
  readonly version: string;
  readonly host: string;
  readonly skewMs: number;
  readonly startedAt: Date;
  readonly heartbeatAt: Date;
  readonly alive: boolean;
  readonly jobs: JobId[];
}

/** The registry of workers. All times are the database's: a worker whose clock is wrong is not younger or older for it. */
export function createWorkerStore({ prisma }: Database): WorkerStore {
  return {
    async beat({ id, deviceClass, slots, version, host, skewMs }) {
      const [row] = await prisma.$queryRaw<{ now: number }[]>`
        INSERT INTO worker (id, device_class, slots, version, host, skew_ms) VALUES (${id}, ${deviceClass}, ${slots}, ${version}, ${host}, ${skewMs})
        ON CONFLICT (id) DO UPDATE SET device_class = EXCLUDED.device_class, slots = EXCLUDED.slots, version = EXCLUDED.version, host = EXCLUDED.host,
          skew_ms = EXCLUDED.skew_ms, heartbeat_at = clock_timestamp(), left_at = NULL,
          started_at = CASE WHEN worker.left_at IS NULL THEN worker.started_at ELSE clock_timestamp() END
        RETURNING (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now`;
      if (!row) throw new Error('the database answered a heartbeat with nothing');
      return row.now;
    },

    async leave(id) {
      await prisma.$executeRaw`UPDATE worker SET left_at = clock_timestamp() WHERE id = ${id}`;
    },

    async wantedSlots(deviceClass, any) {
      const wanted = ['queued', ...heldStatuses];
      const [row] = await prisma.$queryRaw<{ slots: number }[]>`
        SELECT count(*)::int AS slots FROM job
        WHERE status = ANY (${wanted}::job_status[]) AND (device_class = ${deviceClass} OR (device_class IS NULL
          AND CASE WHEN COALESCE(request ->> 'device', 'auto') = 'auto' THEN ${any} ELSE ${ofKind(Prisma.sql`${deviceClass}`)} END))`;
      return row?.slots ?? 0;
    },

    async list(aliveMs) {
      return prisma.$queryRaw<Row[]>`
        SELECT w.id, w.device_class AS "deviceClass", w.slots, w.version, w.host, w.skew_ms AS "skewMs", w.started_at AS "startedAt", w.heartbeat_at AS "heartbeatAt",
          w.left_at IS NULL AND w.heartbeat_at > clock_timestamp() - ${aliveMs} * interval '1 millisecond' AS alive,
          ARRAY(SELECT a.job_id FROM attempt a WHERE a.worker_id = w.id AND a.ended_at IS NULL ORDER BY a.started_at) AS jobs
        FROM worker w WHERE w.heartbeat_at > clock_timestamp() - interval '1 day' ORDER BY alive DESC, w.heartbeat_at DESC, w.id`;
    },
  };
}
