import type { FileObject } from '@rowsmith/contracts';
import type { FileRecord } from '@rowsmith/core';
import { unixSeconds } from '../http/paging.js';

/** Files are validated before they are stored, so every one is `processed`. */
export const toFileObject = (file: FileRecord): FileObject => ({
  id: file.id,
  object: 'file',
  bytes: file.bytes,
  created_at: unixSeconds(file.createdAt),
  filename: file.filename,
  purpose: file.purpose,
  status: 'processed',
  status_details: null,
  expires_at: file.expiresAt === null ? null : unixSeconds(file.expiresAt),
});
