import { heldStatuses } from '@rowsmith/core';
import type { ServiceFigures } from '@rowsmith/telemetry';
import type { Database } from './database.js';

const unbound = 'any';

/** What monitoring asks the tables: counts only, no ids. All ages by the database's clock. `aliveMs`: silence after which a worker does not count. */
export async function serviceFigures({ prisma, pool }: Database, aliveMs: number): Promise<ServiceFigures> {
  const [jobs, oldestQueuedSeconds, attempts, workers, running, checkpoints, deliveries] = await Promise.all([
    prisma.$queryRaw<ServiceFigures['jobs']>`
      SELECT status::text AS status, COALESCE(device_class, ${unbound}) AS "deviceClass", count(*)::int AS count FROM job GROUP BY 1, 2 ORDER BY 1, 2`,
    prisma.$queryRaw<ServiceFigures['oldestQueuedSeconds']>`
      SELECT COALESCE(device_class, ${unbound}) AS "deviceClass", GREATEST(0, extract(epoch FROM clock_timestamp() - min(GREATEST(created_at, not_before))))::float8 AS seconds
      FROM job WHERE status = 'queued' GROUP BY 1 ORDER BY 1`,
    prisma.$queryRaw<ServiceFigures['attempts']>`
      SELECT COALESCE(outcome::text, 'running') AS outcome, COALESCE(device_class, ${unbound}) AS "deviceClass", count(*)::int AS count
      FROM attempt GROUP BY 1, 2 ORDER BY 1, 2`,
    prisma.$queryRaw<{ deviceClass: string; count: number; skew: number }[]>`
      SELECT device_class AS "deviceClass", count(*)::int AS count, max(abs(skew_ms))::float8 / 1000 AS skew FROM worker
      WHERE left_at IS NULL AND heartbeat_at > clock_timestamp() - ${aliveMs} * interval '1 millisecond' GROUP BY 1 ORDER BY 1`,
    prisma.$queryRaw<{ age: number }[]>`
      SELECT GREATEST(0, COALESCE(max(extract(epoch FROM clock_timestamp() - heartbeat_at)), 0))::float8 AS age
      FROM job WHERE status = ANY (${[...heldStatuses]}::job_status[])`,
    prisma.$queryRaw<{ usable: number; quarantined: number }[]>`
      SELECT count(*) FILTER (WHERE quarantined_at IS NULL)::int AS usable, count(*) FILTER (WHERE quarantined_at IS NOT NULL)::int AS quarantined FROM checkpoint WHERE removed_at IS NULL`,
    prisma.$queryRaw<{ due: number; waiting: number; givenUp: number }[]>`
      SELECT count(*) FILTER (WHERE given_up_at IS NULL AND next_attempt_at <= clock_timestamp())::int AS due,
             count(*) FILTER (WHERE given_up_at IS NULL AND next_attempt_at > clock_timestamp())::int AS waiting,
             count(*) FILTER (WHERE given_up_at IS NOT NULL)::int AS "givenUp" FROM webhook_delivery WHERE delivered_at IS NULL`,
  ]);
  return {
    ...{ jobs, oldestQueuedSeconds, attempts },
    workersAlive: workers.map(({ deviceClass, count }) => ({ deviceClass, count })),
    maxWorkerSkewSeconds: Math.max(0, ...workers.map(({ skew }) => skew)),
    maxHeartbeatAgeSeconds: running[0]?.age ?? 0,
    checkpoints: checkpoints[0] ?? { usable: 0, quarantined: 0 },
    webhookDeliveries: deliveries[0] ?? { due: 0, waiting: 0, givenUp: 0 },
    databasePool: pool(),
  };
}
