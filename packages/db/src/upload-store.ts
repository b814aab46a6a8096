import type { FileId, ProjectId, UploadId, UploadPartId, UploadStatus } from '@rowsmith/contracts';
import type { UploadPartRecord, UploadRecord, UploadStore } from '@rowsmith/core';
import type { Database, Transaction } from './database.js';
import { insertFile } from './file-store.js';
import type { Upload, UploadPart } from './generated/client.js';
import { requireStorage } from './quota.js';

type Row = Upload & { readonly over: boolean };

const statusOf = ({ completedAt, cancelledAt, over }: Row): UploadStatus =>
  completedAt !== null ? 'completed' : cancelledAt !== null ? 'cancelled' : over ? 'expired' : 'pending';

const uploadRecord = (row: Row): UploadRecord => ({
  id: row.id as UploadId,
  projectId: row.projectId as ProjectId,
  filename: row.filename,
  mimeType: row.mimeType,
  bytes: Number(row.bytes),
  keepInvalid: row.keepInvalid,
  fileSeconds: row.fileSeconds,
  status: statusOf(row),
  createdAt: row.createdAt,
  expiresAt: row.expiresAt,
  fileId: row.fileId as FileId | null,
});
const partRecord = (row: Pick<UploadPart, 'id' | 'bytes' | 'key' | 'createdAt'>): UploadPartRecord => ({
  id: row.id as UploadPartId,
  bytes: Number(row.bytes),
  key: row.key,
  createdAt: row.createdAt,
});

export function createUploadStore({ prisma }: Database): UploadStore {
  /** The clock is the database's, so "over" is asked there too. */
  const find = async (where: { projectId?: string; id: string }, tx: Transaction = prisma): Promise<Row | null> => {
    const row = await tx.upload.findFirst({ where });
    if (row === null) return null;
    const [at] = await tx.$queryRaw<{ over: boolean }[]>`SELECT expires_at <= clock_timestamp() AS over FROM upload WHERE id = ${row.id}`;
    return { ...row, over: at?.over ?? true };
  };
  const lock = async (where: { projectId?: string; id: string }, tx: Transaction): Promise<Row | null> => {
    await tx.$queryRaw`SELECT 1 FROM upload WHERE id = ${where.id} FOR UPDATE`;
    return find(where, tx);
  };
  const pending = (row: Row | null): row is Row => row !== null && statusOf(row) === 'pending';

  return {
    async create(upload, lifeSeconds) {
      await prisma.$transaction(async (tx) => {
        await requireStorage(tx, upload.projectId, upload.bytes);
        await tx.$executeRaw`
          INSERT INTO upload (id, project_id, filename, mime_type, bytes, keep_invalid, file_seconds, expires_at)
          VALUES (${upload.id}, ${upload.projectId}, ${upload.filename}, ${upload.mimeType}, ${BigInt(upload.bytes)}, ${upload.keepInvalid},
                  ${upload.fileSeconds}, clock_timestamp() + ${lifeSeconds} * interval '1 second')`;
      });
      const row = await find({ id: upload.id });
      if (row === null) throw new Error(`upload ${upload.id} is gone right after it was made`);
      return uploadRecord(row);
    },
    async get(projectId, id) {
      const row = await find({ projectId, id });
      return row && uploadRecord(row);
    },
    addPart: (projectId, id, part, maxParts) =>
      prisma.$transaction(async (tx) => {
        const row = await lock({ projectId, id }, tx);
        if (!pending(row)) return 'not_pending';
        const sums = await tx.uploadPart.aggregate({ where: { uploadId: id }, _sum: { bytes: true }, _count: true });
        if (Number(sums._sum.bytes ?? 0) + part.bytes > Number(row.bytes) || sums._count >= maxParts) return 'full';
        return partRecord(await tx.uploadPart.create({ data: { id: part.id, uploadId: id, bytes: BigInt(part.bytes), key: part.key } }));
      }),
    async parts(id) {
      return (await prisma.uploadPart.findMany({ where: { uploadId: id } })).map(partRecord);
    },
    complete: (id, newFile) =>
      prisma.$transaction(async (tx) => {
        if (!pending(await lock({ id }, tx))) return 'not_pending';
        const file = await insertFile(tx, newFile, id);
        await tx.$executeRaw`UPDATE upload SET completed_at = clock_timestamp(), file_id = ${file.id} WHERE id = ${id}`;
        return file;
      }),
    cancel: (projectId, id) =>
      prisma.$transaction(async (tx) => {
        const row = await lock({ projectId, id }, tx);
        if (row === null) return null;
        if (!pending(row)) return 'not_pending';
        await tx.$executeRaw`UPDATE upload SET cancelled_at = clock_timestamp() WHERE id = ${id}`;
        const cancelled = await find({ id }, tx);
        return cancelled && uploadRecord(cancelled);
      }),
    async leftoverParts(limit) {
      const rows = await prisma.$queryRaw<{ id: string; bytes: bigint; key: string; createdAt: Date }[]>`
        SELECT p.id, p.bytes, p.key, p.created_at AS "createdAt" FROM upload_part p JOIN upload u ON u.id = p.upload_id
        WHERE u.completed_at IS NOT NULL OR u.cancelled_at IS NOT NULL OR u.expires_at <= clock_timestamp() ORDER BY p.created_at LIMIT ${limit}`;
      return rows.map(partRecord);
    },
    async dropParts(ids) {
      await prisma.uploadPart.deleteMany({ where: { id: { in: [...ids] } } });
    },
  };
}
