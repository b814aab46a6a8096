/** Takes away what is over: parts of ended uploads and files past their life. Objects go before rows, so a crash between them leaves nothing unknown. */
import type { AuditStore, FileStore, JobStore, ObjectStore, UploadStore } from '@rowsmith/core';

export interface SweepDeps {
  readonly files: Pick<FileStore, 'expired' | 'delete'>;
  readonly uploads: Pick<UploadStore, 'leftoverParts' | 'dropParts'>;
  readonly jobs: Pick<JobStore, 'dropOldKeys'>;
  readonly objects: Pick<ObjectStore, 'delete'>;
  readonly audit: Pick<AuditStore, 'dropOlder'>;
  /** Days after which entries of the audit log are forgotten; 0: never. */
  readonly auditDays: number;
}

export async function sweep({ files, uploads, jobs, objects, audit, auditDays }: SweepDeps, batch: number): Promise<void> {
  const parts = await uploads.leftoverParts(batch);
  for (const { key } of parts) await objects.delete(key);
  if (parts.length > 0) await uploads.dropParts(parts.map(({ id }) => id));
  await jobs.dropOldKeys();
  if (auditDays > 0) await audit.dropOlder(auditDays, batch);
  for (const { projectId, id } of await files.expired(batch)) {
    // The row first: a job that is just being created waits for it, and a file without content must not be found.
    const deleted = await files.delete(projectId, id);
    if (deleted !== null && deleted !== 'in_use') await objects.delete(deleted.key);
  }
}
