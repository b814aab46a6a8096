/** Files and uploads as the API sees them. */
import type { FileFindings, FileId, FilePurpose, ProjectId, UploadId, UploadPartId, UploadStatus } from '@rowsmith/contracts';
import type { Page, PageOf } from './ports.js';

export interface FileRecord {
  readonly id: FileId;
  readonly projectId: ProjectId;
  readonly filename: string;
  readonly purpose: FilePurpose;
  readonly bytes: number;
  readonly sha256: string;
  /** Object-store key of the content. */
  readonly key: string;
  /** Rows that can be trained on; null for results. */
  readonly examples: number | null;
  /** Lines that cannot. */
  readonly badLines: number;
  /** Kind of its rows; null for results. */
  readonly shape: string | null;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
}

export interface NewFile extends Omit<FileRecord, 'createdAt' | 'expiresAt' | 'badLines' | 'shape'> {
  /** What was found in it; null for results. */
  readonly findings: FileFindings | null;
  /** Seconds until it expires; null: never. */
  readonly lifeSeconds: number | null;
}

export interface FileStore {
  insert(file: NewFile): Promise<FileRecord>;
  findings(projectId: ProjectId, id: string): Promise<FileFindings | null>;
  get(projectId: ProjectId, id: string): Promise<FileRecord | null>;
  list(projectId: ProjectId, page: Page & { readonly purpose?: FilePurpose | undefined }): Promise<PageOf<FileRecord>>;
  /** 'in_use': an unfinished job reads it. */
  delete(projectId: ProjectId, id: string): Promise<FileRecord | 'in_use' | null>;
  /** Past their `expiresAt`, and read by no unfinished job. */
  expired(limit: number): Promise<readonly FileRecord[]>;
}

export interface UploadRecord {
  readonly id: UploadId;
  readonly projectId: ProjectId;
  readonly filename: string;
  readonly mimeType: string;
  /** Announced. */
  readonly bytes: number;
  readonly keepInvalid: boolean;
  /** Life of the file that it becomes; null: for ever. */
  readonly fileSeconds: number | null;
  readonly status: UploadStatus;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly fileId: FileId | null;
}
export interface UploadPartRecord {
  readonly id: UploadPartId;
  readonly bytes: number;
  readonly key: string;
  readonly createdAt: Date;
}
/** Uploads in parts. Whatever ends an upload leaves its parts to `sweep`. */
export interface UploadStore {
  create(
    upload: Pick<UploadRecord, 'id' | 'projectId' | 'filename' | 'mimeType' | 'bytes' | 'keepInvalid' | 'fileSeconds'>,
    lifeSeconds: number,
  ): Promise<UploadRecord>;
  get(projectId: ProjectId, id: string): Promise<UploadRecord | null>;
  /** 'full': the parts together would have more bytes than announced, or be more than `maxParts`. */
  addPart(
    projectId: ProjectId,
    id: string,
    part: Pick<UploadPartRecord, 'id' | 'bytes' | 'key'>,
    maxParts: number,
  ): Promise<UploadPartRecord | 'not_pending' | 'full'>;
  parts(id: UploadId): Promise<readonly UploadPartRecord[]>;
  /** One transaction: the file appears and the upload is completed. */
  complete(id: UploadId, file: NewFile): Promise<FileRecord | 'not_pending'>;
  cancel(projectId: ProjectId, id: string): Promise<UploadRecord | 'not_pending' | null>;
  /** Parts of uploads that are over: their objects go first, then `dropParts` forgets them. */
  leftoverParts(limit: number): Promise<readonly UploadPartRecord[]>;
  dropParts(ids: readonly UploadPartId[]): Promise<void>;
}
