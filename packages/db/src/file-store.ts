import type { FileFindings } from '@rowsmith/contracts';
import { type FileRecord, type FileStore, finalStatuses, type NewFile } from '@rowsmith/core';
import { type Database, jsonb, type Transaction } from './database.js';
import { pageOf } from './page.js';
import { requireStorage } from './quota.js';
import { filePurposeColumn, fileRecord } from './records.js';

/** Reports can be long and are read on their own. */
const omit = { report: true } as const;

/** `upload`: what it is made of, which its quota counted already. Results count, but are never refused: the job has run. */
export async function insertFile(tx: Transaction, file: NewFile, upload?: string): Promise<FileRecord> {
  const { purpose, bytes, findings, lifeSeconds, ...rest } = file;
  const { id } = rest;
  if (purpose === 'fine-tune') await requireStorage(tx, file.projectId, bytes, upload);
  const report = findings === null ? {} : { report: findings, badLines: findings.bad_lines, shape: findings.shape };
  await tx.file.create({ data: { ...rest, ...report, bytes: BigInt(bytes), purpose: filePurposeColumn[purpose] }, omit });
  if (lifeSeconds !== null)
    await tx.$executeRaw`UPDATE file SET expires_at = created_at + ${lifeSeconds} * interval '1 second' WHERE id = ${id}`;
  return fileRecord(await tx.file.findUniqueOrThrow({ where: { id }, omit }));
}

const selectFile = `
  SELECT id, project_id AS "projectId", filename, CASE purpose WHEN 'fine-tune' THEN 'fine_tune' ELSE 'fine_tune_results' END AS purpose, bytes, sha256, key, examples,
         bad_lines AS "badLines", shape, created_at AS "createdAt", expires_at AS "expiresAt"
  FROM file WHERE project_id = $1 AND id = $2`;

export function createFileStore({ prisma, rows }: Database): FileStore {
  return {
    insert: (file) => prisma.$transaction((tx) => insertFile(tx, file)),
    async findings(projectId, id) {
      const row = await prisma.file.findFirst({ where: { projectId, id }, select: { report: true } });
      return (row?.report ?? null) as FileFindings | null;
    },
    async get(projectId, id) {
      const [row] = await rows<Parameters<typeof fileRecord>[0]>({ text: selectFile, values: [projectId, id] });
      return row === undefined ? null : fileRecord(row);
    },
    async list(projectId, { purpose, ...page }) {
      const where = { projectId, ...(purpose ? { purpose: filePurposeColumn[purpose] } : {}) };
      const after = page.after === undefined ? null : await prisma.file.findFirst({ where: { projectId, id: page.after }, omit });
      return pageOf(
        page,
        after,
        (paging) => prisma.file.findMany({ where: { AND: [where, paging.where] }, orderBy: paging.orderBy, take: paging.take, omit }),
        fileRecord,
      );
    },
    async delete(projectId, id) {
      return prisma.$transaction(async (tx) => {
        // Waits for jobs that are just being created on this file (they hold it until commit).
        await tx.$queryRaw`SELECT 1 FROM file WHERE project_id = ${projectId} AND id = ${id} FOR UPDATE`;
        const row = await tx.file.findFirst({ where: { projectId, id }, omit });
        if (!row) return null;
        const using = await tx.$queryRaw<unknown[]>`
          SELECT 1 FROM job j WHERE j.project_id = ${projectId} AND NOT j.status = ANY (${finalStatuses}::job_status[])
            AND (j.training_file = ${id} OR j.validation_file = ${id} OR j.spec->'mixture' @> ${jsonb([{ file: id }])}) LIMIT 1`;
        if (using.length > 0) return 'in_use';
        await tx.file.delete({ where: { id } });
        return fileRecord(row);
      });
    },
    async expired(limit) {
      const rows = await prisma.$queryRaw<{ id: string }[]>`
        SELECT f.id FROM file f WHERE f.expires_at <= clock_timestamp() AND NOT EXISTS (
          SELECT 1 FROM job j WHERE j.project_id = f.project_id AND NOT j.status = ANY (${finalStatuses}::job_status[])
            AND (j.training_file = f.id OR j.validation_file = f.id OR j.spec->'mixture' @> jsonb_build_array(jsonb_build_object('file', f.id)))) ORDER BY f.expires_at LIMIT ${limit}`;
      const files = await prisma.file.findMany({ where: { id: { in: rows.map(({ id }) => id) } }, omit });
      return files.map(fileRecord);
    },
  };
}
