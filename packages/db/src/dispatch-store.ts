import type { DispatchStore, WaitingJob } from '@rowsmith/core';
import pg from 'pg';
import type { Database } from './database.js';
import { ofKind } from './device-kind.js';
import { Prisma } from './generated/client.js';
import { jobRecord } from './records.js';
import { releaseJobs } from './release-jobs.js';
import { requeueAttempts } from './requeue-attempts.js';

/** Key of the session lock that the leading control loop holds. */
const leaderLock = 72707370;

export interface LeadingDispatchStore extends DispatchStore {
  close(): Promise<void>;
}

/** The lock belongs to a connection of its own: when the process dies the server lets go of it, and another process leads. */
export function createDispatchStore(database: Database, databaseUrl: string): LeadingDispatchStore {
  const { prisma } = database;
  let session: pg.Client | null = null;
  let leads = false;

  const leader = async (): Promise<boolean> => {
    if (session === null) {
      const client = new pg.Client({ connectionString: databaseUrl });
      const forget = () => {
        if (session === client) session = null;
        leads = false;
      };
      client.on('error', forget);
      client.on('end', forget);
      await client.connect();
      session = client;
      leads = false;
    }
    if (leads) {
      // A dead connection that nobody told us of would leave two leaders.
      await session.query('SELECT 1');
      return true;
    }
    const { rows } = await session.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [leaderLock]);
    leads = rows[0]?.locked === true;
    return leads;
  };

  return {
    async asLeader(work) {
      if (!(await leader())) return false;
      await work();
      return true;
    },
    release: (aliveMs) => releaseJobs(database, aliveMs),
    async waiting(limit) {
      return prisma.$queryRaw<WaitingJob[]>`
        SELECT id AS "jobId", dispatch_no AS "dispatchNo", priority, traceparent,
          CASE WHEN device_class IS NOT NULL THEN ARRAY[device_class] ELSE ARRAY(SELECT DISTINCT w.device_class FROM worker w WHERE w.left_at IS NULL
            AND w.heartbeat_at > clock_timestamp() - interval '1 hour' AND ${ofKind(Prisma.sql`w.device_class`)} ORDER BY 1) END AS "deviceClasses"
        FROM job WHERE status = 'queued' AND released_at IS NOT NULL AND not_before <= clock_timestamp() ORDER BY released_at, id LIMIT ${limit}`;
    },
    requeueLost: (staleMs) => requeueAttempts(database, { staleMs }),
    async withoutResultFile(limit) {
      const rows = await prisma.job.findMany({
        where: { status: 'succeeded', resultFiles: { isEmpty: true }, deletedAt: null },
        orderBy: { createdAt: 'asc' },
        take: limit,
      });
      return rows.map(jobRecord);
    },
    async setResultFile(jobId, file) {
      const named = await prisma.$executeRaw`
        UPDATE job SET result_files = ARRAY[${file}] WHERE id = ${jobId} AND cardinality(result_files) = 0 AND deleted_at IS NULL`;
      if (named === 0)
        await prisma.$executeRaw`DELETE FROM file WHERE id = ${file} AND EXISTS (SELECT 1 FROM job WHERE id = ${jobId} AND deleted_at IS NOT NULL)`;
    },
    async close() {
      await session?.end();
    },
  };
}
