import type { FileStore } from '@rowsmith/core';
import type { Database } from './database.js';
import { pageOf } from './page.js';
import { filePurposeColumn, fileRecord } from './records.js';

export function createFileStore({ prisma }: Database): FileStore {
  return {
    async insert(file) {
      const { purpose, bytes, ...rest } = file;
      return fileRecord(await prisma.file.create({ data: { ...rest, bytes: BigInt(bytes), purpose: filePurposeColumn[purpose] } }));
    },
    async get(projectId, id) {
      const row = await prisma.file.findFirst({ where: { projectId, id } });
      return row && fileRecord(row);
    },
    async list(projectId, { purpose, ...page }) {
      const where = { projectId, ...(purpose ? { purpose: filePurposeColumn[purpose] } : {}) };
      const after = page.after === undefined ? null : await prisma.file.findFirst({ where: { projectId, id: page.after } });
      return pageOf(
        page,
        after,
        (paging) => prisma.file.findMany({ where: { AND: [where, paging.where] }, orderBy: paging.orderBy, take: paging.take }),
        fileRecord,
      );
    },
    async delete(projectId, id) {
      return prisma.$transaction(async (tx) => {
        // Waits for jobs that are just being created on this file (they hold it until commit).
        await tx.$queryRaw`SELECT 1 FROM file WHERE project_id = ${projectId} AND id = ${id} FOR UPDATE`;
        const row = await tx.file.findFirst({ where: { projectId, id } });
        if (!row) return null;
        const using = await tx.job.count({
          where: { projectId, OR: [{ trainingFile: id }, { validationFile: id }], status: { notIn: ['succeeded', 'failed', 'cancelled'] } },
        });
        if (using > 0) return 'in_use';
        await tx.file.delete({ where: { id } });
        return fileRecord(row);
      });
    },
  };
}
