import type { ProjectId, ProjectQuotas } from '@rowsmith/contracts';
import { finalStatuses, type ProjectRecord, type ProjectStore } from '@rowsmith/core';
import type { Database } from './database.js';
import { Prisma, type Project } from './generated/client.js';
import { pageOf } from './page.js';
import { deviceTime, queuedJobs, runningJobs, storedBytes } from './quota.js';

/** Where the environment's keys live; it keeps its name. */
export const defaultProject = 'default';

const numberOrNull = (value: bigint | null) => (value === null ? null : Number(value));
const projectRecord = (row: Project): ProjectRecord => ({
  id: row.id as ProjectId,
  name: row.name,
  createdAt: row.createdAt,
  archivedAt: row.archivedAt,
  quotas: {
    running_jobs: row.maxRunningJobs,
    queued_jobs: row.maxQueuedJobs,
    storage_bytes: numberOrNull(row.maxStorageBytes),
    device_seconds_per_month: numberOrNull(row.maxDeviceSecondsPerMonth),
    requests_per_minute: row.maxRequestsPerMinute,
  },
});

const columns = {
  running_jobs: 'maxRunningJobs',
  queued_jobs: 'maxQueuedJobs',
  storage_bytes: 'maxStorageBytes',
  device_seconds_per_month: 'maxDeviceSecondsPerMonth',
  requests_per_minute: 'maxRequestsPerMinute',
} as const satisfies Record<keyof ProjectQuotas, keyof Project>;
type Name = keyof typeof columns;

/** What is not named stays as it is. */
const quotaColumns = (quotas: Partial<ProjectQuotas>) =>
  Object.fromEntries(
    Object.entries(quotas).flatMap(([name, limit]) => (limit === undefined ? [] : [[columns[name as Name], limit]])),
  ) as Partial<Record<(typeof columns)[Name], number | null>>;

/** A taken name is what the unique column says, whoever came first. */
async function orTaken<T>(work: Promise<T>): Promise<T | 'name_taken'> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002') return 'name_taken';
    throw error;
  }
}

/** See the port for the meaning of every method. */
export function createProjectStore({ prisma }: Database): ProjectStore {
  const find = (id: string) => prisma.project.findUnique({ where: { id } });
  return {
    async create({ id, name, quotas }) {
      const row = await orTaken(prisma.project.create({ data: { id, name, ...quotaColumns(quotas) } }));
      return row === 'name_taken' ? row : projectRecord(row);
    },
    async get(id) {
      const row = await find(id);
      return row && projectRecord(row);
    },
    async list({ archived, ...page }) {
      const after = page.after === undefined ? null : await find(page.after);
      const shown = archived ? {} : { archivedAt: null };
      return pageOf(
        page,
        after,
        ({ where, ...rest }) => prisma.project.findMany({ where: { AND: [shown, where] }, ...rest }),
        projectRecord,
      );
    },
    async update(id, { name, quotas }) {
      // Found by its name at every start.
      if (name !== undefined && name !== defaultProject && (await find(id))?.name === defaultProject) return 'default';
      const data = { ...(name === undefined ? {} : { name }), ...quotaColumns(quotas) };
      const changed = await orTaken(prisma.project.updateMany({ where: { id }, data }));
      if (changed === 'name_taken') return changed;
      const row = changed.count === 0 ? null : await find(id);
      return row && projectRecord(row);
    },
    archive: (id) =>
      prisma.$transaction(async (tx) => {
        // A job that is just being created refers to the project and waits.
        await tx.$queryRaw`SELECT 1 FROM project WHERE id = ${id} FOR UPDATE`;
        const row = await tx.project.findUnique({ where: { id } });
        if (row === null) return null;
        if (row.name === defaultProject) return 'default';
        if ((await tx.job.count({ where: { projectId: id, NOT: { status: { in: [...finalStatuses] } } } })) > 0) return 'busy';
        await tx.$executeRaw`UPDATE project SET archived_at = clock_timestamp() WHERE id = ${id} AND archived_at IS NULL`;
        return projectRecord(await tx.project.findUniqueOrThrow({ where: { id } }));
      }),
    async usage(id) {
      if ((await find(id)) === null) return null;
      const { start, end, seconds } = await deviceTime(prisma, id);
      const [running, queued, bytes] = [await runningJobs(prisma, id), await queuedJobs(prisma, id), await storedBytes(prisma, id)];
      return { periodStart: start, periodEnd: end, runningJobs: running, queuedJobs: queued, storageBytes: bytes, deviceSeconds: seconds };
    },
  };
}
