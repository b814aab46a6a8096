import type { JobId, ProjectId } from '@rowsmith/contracts';
import { type FleetState, heldStatuses, planDispatch } from '@rowsmith/core';
import type { Database, Transaction } from './database.js';

/** More than a round could ever let go; the oldest of each project are looked at. */
const looked = 1_000;

interface JobRow {
  readonly jobId: JobId;
  readonly projectId: ProjectId;
  readonly deviceClass: string | null;
  readonly device: string;
  readonly priority: number;
}

/** One round of the dispatcher: the tables as they are, the plan, and its writes, each under the condition that it still holds. */
export async function releaseJobs(
  { prisma }: Database,
  aliveMs: number,
): Promise<{ readonly released: number; readonly preempted: number }> {
  return prisma.$transaction(async (tx) => {
    const { release, preempt } = planDispatch(await fleetState(tx, aliveMs));
    let released = 0;
    // A millisecond apart, which is what the column keeps: the order of release is the order in which they are announced.
    for (const [place, id] of release.entries())
      released += await tx.$executeRaw`
        UPDATE job SET released_at = clock_timestamp() + ${place} * interval '1 millisecond' WHERE id = ${id} AND status = 'queued' AND released_at IS NULL`;
    const preempted =
      preempt.length === 0
        ? 0
        : await tx.$executeRaw`
            UPDATE job SET preempt_requested_at = clock_timestamp() WHERE id = ANY (${preempt}) AND status = 'running' AND preempt_requested_at IS NULL`;
    return { released, preempted };
  });
}

async function fleetState(tx: Transaction, aliveMs: number): Promise<FleetState> {
  const classes = await tx.$queryRaw<{ deviceClass: string; slots: number }[]>`
    SELECT device_class AS "deviceClass", sum(slots)::int AS slots FROM worker
    WHERE left_at IS NULL AND heartbeat_at > clock_timestamp() - ${aliveMs} * interval '1 millisecond' GROUP BY device_class ORDER BY device_class`;
  const running = await tx.$queryRaw<(JobRow & { ranMs: number; preempting: boolean })[]>`
    SELECT j.id AS "jobId", j.project_id AS "projectId", j.device_class AS "deviceClass", 'auto' AS device, j.priority, j.status = 'pausing' OR j.preempt_requested_at IS NOT NULL AS preempting,
      (extract(epoch FROM clock_timestamp() - a.started_at) * 1000)::float8 AS "ranMs"
    FROM job j JOIN attempt a ON a.job_id = j.id AND a.epoch = j.epoch WHERE j.status = ANY (${heldStatuses}::job_status[])`;
  const released = await tx.$queryRaw<JobRow[]>`
    SELECT id AS "jobId", project_id AS "projectId", device_class AS "deviceClass", COALESCE(request ->> 'device', 'auto') AS device, priority FROM job WHERE status = 'queued' AND released_at IS NOT NULL`;
  // The first of every project, by priority and age: a thousand jobs of one must not hide another's only one.
  const queued = await tx.$queryRaw<JobRow[]>`
    SELECT id AS "jobId", project_id AS "projectId", device_class AS "deviceClass", COALESCE(request ->> 'device', 'auto') AS device, priority FROM (
      SELECT *, row_number() OVER (PARTITION BY project_id, device_class ORDER BY priority DESC, created_at, id) AS place FROM job
      WHERE status = 'queued' AND released_at IS NULL AND not_before <= clock_timestamp()) q
    ORDER BY place, created_at, id LIMIT ${looked}`;
  const projects = await tx.$queryRaw<{ projectId: ProjectId; weight: number; maxRunning: number | null; secondsLastHour: number }[]>`
    SELECT p.id AS "projectId", p.weight, p.max_running_jobs AS "maxRunning", COALESCE((
      SELECT sum(extract(epoch FROM COALESCE(a.ended_at, clock_timestamp()) - GREATEST(a.started_at, clock_timestamp() - interval '1 hour')))
      FROM attempt a WHERE a.project_id = p.id AND COALESCE(a.ended_at, clock_timestamp()) > clock_timestamp() - interval '1 hour'), 0)::float8 AS "secondsLastHour"
    FROM project p WHERE EXISTS (SELECT 1 FROM job j WHERE j.project_id = p.id AND j.status = 'queued')`;
  return { classes, running, released, queued, projects };
}
