/** Uploads in parts: memory is one part, and a broken connection costs one part, not the file. */
import type { CreateUploadBody, FileObject, UploadObject, UploadPartObject } from '@rowsmith/contracts';
import { RowsmithApiError, requireOk } from './api-error.js';
import type { Abortable } from './calls.js';
import type { Http } from './http.js';
import { pause } from './pause.js';

/** What the parts are cut from. */
export interface PartSource {
  readonly size: number;
  /** Bytes from `start` to before `end`. */
  slice(start: number, end: number): Promise<Blob>;
}
export interface PartsOptions extends Abortable {
  readonly partBytes: number;
  readonly onProgress?: (sentBytes: number, totalBytes: number) => void;
  /** Tries of one part. */
  readonly tries?: number;
}

const post = async <T>(http: Http, path: string, init: RequestInit, signal: AbortSignal | undefined): Promise<T> => {
  const response = await http.fetch(path, { method: 'POST', ...init, ...(signal ? { signal } : {}) });
  return (await (await requireOk(response)).json()) as T;
};
const json = (body: object): RequestInit => ({ body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
const uploadPath = (id: string, rest: string) => `/v1/uploads/${encodeURIComponent(id)}/${rest}`;

export function addPart(http: Http, uploadId: string, data: Blob, { signal }: Abortable = {}): Promise<UploadPartObject> {
  const form = new FormData();
  form.set('data', data, 'part');
  return post(http, uploadPath(uploadId, 'parts'), { body: form }, signal);
}

/** A part that came twice is harmless: only those named at the end count. */
async function addPartPatiently(http: Http, uploadId: string, data: Blob, options: PartsOptions): Promise<UploadPartObject> {
  const { signal, tries = 4 } = options;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await addPart(http, uploadId, data, options);
    } catch (error) {
      signal?.throwIfAborted();
      if (attempt >= tries || (error instanceof RowsmithApiError && !error.retryable)) throw error;
      await pause(Math.min(500 * 2 ** (attempt - 1), 8_000), signal);
    }
  }
}

/** Nothing stays on the server when it throws: the upload is cancelled. */
export async function uploadInParts(http: Http, source: PartSource, body: CreateUploadBody, options: PartsOptions): Promise<FileObject> {
  const { signal, partBytes, onProgress } = options;
  const { id } = await post<UploadObject>(http, '/v1/uploads', json(body), signal);
  try {
    const parts: string[] = [];
    for (let start = 0; start < source.size; start += partBytes) {
      const end = Math.min(start + partBytes, source.size);
      parts.push((await addPartPatiently(http, id, await source.slice(start, end), options)).id);
      onProgress?.(end, source.size);
    }
    const { file } = await post<UploadObject>(http, uploadPath(id, 'complete'), json({ part_ids: parts }), signal);
    if (file === null) throw new Error(`upload ${id} was completed without a file`);
    return file;
  } catch (error) {
    // Best effort, without the signal that may have ended it; the server drops what is left after an hour.
    await http.fetch(uploadPath(id, 'cancel'), { method: 'POST' }).catch(() => undefined);
    throw error;
  }
}
