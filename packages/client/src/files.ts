/** Files, and uploads in parts. */
import type {
  CompleteUploadBody,
  CreateUploadBody,
  FileObject,
  FilePurpose,
  FileReport,
  UploadObject,
  UploadPartObject,
} from '@rowsmith/contracts';
import { type Abortable, bodyOf, type Calls, given, type ListOf, type PageOptions, pageOf, path, unwrap } from './calls.js';
import { type UploadOptions, uploadFile } from './upload.js';
import { addPart } from './upload-parts.js';

export interface ListFilesOptions extends PageOptions {
  readonly purpose?: FilePurpose;
  /** By time of creation; newest first if not given. */
  readonly order?: 'asc' | 'desc';
}
export interface FileReportOptions {
  /** Base model whose tokens are counted; none: no tokens are. */
  readonly model?: string;
  /** Tokens. */
  readonly maxSeqLength?: number;
  readonly trainOn?: 'assistant' | 'last' | 'all';
}

export interface FileMethods {
  /** A path is streamed from disk (Node), a Blob goes as it is. What is larger than a part goes in parts, each tried again by itself. */
  uploadFile(source: string | Blob, options?: UploadOptions): Promise<FileObject>;
  listFiles(options?: ListFilesOptions): Promise<ListOf<FileObject>>;
  getFile(id: string): Promise<FileObject>;
  deleteFile(id: string): Promise<void>;
  /** The content as it is stored. */
  fileContent(id: string, options?: Abortable): Promise<ReadableStream<Uint8Array>>;
  /** Faults by line, duplicates, and with `model` the lengths of the examples. */
  fileReport(id: string, options?: FileReportOptions): Promise<FileReport>;
  createUpload(body: CreateUploadBody): Promise<UploadObject>;
  /** Parts may be sent in any order, at most 64 MiB each. */
  addUploadPart(uploadId: string, data: Blob, options?: Abortable): Promise<UploadPartObject>;
  /** The file is the parts in the order of `part_ids`. */
  completeUpload(uploadId: string, body: CompleteUploadBody): Promise<UploadObject>;
  cancelUpload(uploadId: string): Promise<UploadObject>;
}

export function fileMethods({ api, http }: Calls): FileMethods {
  return {
    uploadFile: (source, upload) => uploadFile(http, source, upload),
    listFiles: async ({ purpose, order, ...page } = {}) =>
      unwrap(await api.GET('/v1/files', { params: { query: { ...pageOf(page), ...given({ purpose, order }) } } })),
    getFile: async (id) => unwrap(await api.GET('/v1/files/{id}', { params: path(id) })),
    deleteFile: async (id) => {
      unwrap(await api.DELETE('/v1/files/{id}', { params: path(id) }));
    },
    fileContent: async (id, { signal } = {}) =>
      bodyOf(await http.fetch(`/v1/files/${encodeURIComponent(id)}/content`, signal ? { signal } : {})),
    fileReport: async (id, { model, maxSeqLength, trainOn } = {}) =>
      unwrap(
        await api.GET('/v1/files/{id}/report', {
          params: { ...path(id), query: given({ model, max_seq_length: maxSeqLength, train_on: trainOn }) },
        }),
      ),
    createUpload: async (body) => unwrap(await api.POST('/v1/uploads', { body })),
    addUploadPart: (id, data, options) => addPart(http, id, data, options),
    completeUpload: async (id, body) => unwrap(await api.POST('/v1/uploads/{id}/complete', { params: path(id), body })),
    cancelUpload: async (id) => unwrap(await api.POST('/v1/uploads/{id}/cancel', { params: path(id) })),
  };
}
