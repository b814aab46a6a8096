import type { UploadObject, UploadPartObject } from '@rowsmith/contracts';
import type { FileRecord, UploadPartRecord, UploadRecord } from '@rowsmith/core';
import { unixSeconds } from '../http/paging.js';
import { toFileObject } from './file-object.js';

export const toUploadObject = (upload: UploadRecord, file: FileRecord | null): UploadObject => ({
  id: upload.id,
  object: 'upload',
  bytes: upload.bytes,
  created_at: unixSeconds(upload.createdAt),
  expires_at: unixSeconds(upload.expiresAt),
  filename: upload.filename,
  purpose: 'fine-tune',
  status: upload.status,
  file: file === null ? null : toFileObject(file),
});

export const toPartObject = (uploadId: string, part: UploadPartRecord): UploadPartObject => ({
  id: part.id,
  object: 'upload.part',
  created_at: unixSeconds(part.createdAt),
  upload_id: uploadId,
});
