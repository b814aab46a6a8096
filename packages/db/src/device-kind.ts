import { Prisma } from './generated/client.js';

/** Condition on a job's row, as `isOfKind` of core says it: a class has the kind of device that was asked for. */
export const ofKind = (deviceClass: Prisma.Sql): Prisma.Sql =>
  Prisma.sql`(COALESCE(job.request ->> 'device', 'auto') = 'auto' OR ${deviceClass} = job.request ->> 'device' OR starts_with(${deviceClass}, (job.request ->> 'device') || '-'))`;
