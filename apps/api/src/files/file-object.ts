import type { FileObject } from '@rowsmith/contracts';
import type { FileRecord } from '@rowsmith/core';
import { unixSeconds } from '../http/paging.js';

/** Share of bad lines among those that hold data, in percent. */
export const badPercentage = ({ badLines, examples }: Pick<FileRecord, 'badLines' | 'examples'>) =>
  (100 * badLines) / Math.max(1, badLines + (examples ?? 0));

const badLinesMessage = (file: FileRecord) =>
  `${file.badLines} lines cannot be trained on and ${file.examples ?? 0} can; GET /v1/files/${file.id}/report names them. Jobs need invalid_sample_skip_percentage of at least ${Math.ceil(badPercentage(file) * 100) / 100}.`;

/** Files are validated before they are stored: `processed`, or `error` when bad lines were kept on request. */
export const toFileObject = (file: FileRecord): FileObject => ({
  id: file.id,
  object: 'file',
  bytes: file.bytes,
  created_at: unixSeconds(file.createdAt),
  filename: file.filename,
  purpose: file.purpose,
  status: file.badLines > 0 ? 'error' : 'processed',
  status_details: file.badLines > 0 ? badLinesMessage(file) : null,
  expires_at: file.expiresAt === null ? null : unixSeconds(file.expiresAt),
});
