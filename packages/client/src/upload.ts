/** Uploads: a path is streamed from disk in constant memory (Node only); a Blob goes as it is (browsers too). */
import type { ExpiresAfter, FileObject, InvalidLinePolicy } from '@rowsmith/contracts';
import { requireOk } from './api-error.js';
import type { Abortable } from './calls.js';
import type { Http } from './http.js';
import { type PartSource, uploadInParts } from './upload-parts.js';

export interface UploadOptions extends Abortable {
  /** Name shown in lists; the path's own, or `upload.jsonl`. */
  readonly filename?: string;
  /** `keep`: a file with lines that cannot be trained on is stored with the status `error`, not refused. */
  readonly onInvalid?: InvalidLinePolicy;
  /** The file is deleted so long after its creation. */
  readonly expiresAfterSeconds?: number;
  /** What is larger goes in parts of this size, at most 64 MiB (67108864), which is the default. */
  readonly partBytes?: number;
  /** Called after each part. */
  readonly onProgress?: (sentBytes: number, totalBytes: number) => void;
}

export const maxPartBytes = 64 * 2 ** 20;
const quoted = (name: string) => name.replace(/[\r\n]/g, ' ').replaceAll('"', '%22');

/** The form's fields before the file: the server reads them while the file streams by. */
function fieldsOf({ onInvalid, expiresAfterSeconds }: UploadOptions): readonly (readonly [string, string])[] {
  return [
    ['purpose', 'fine-tune'],
    ...(onInvalid === undefined ? [] : [['on_invalid', onInvalid] as const]),
    ...(expiresAfterSeconds === undefined
      ? []
      : [['expires_after[anchor]', 'created_at'] as const, ['expires_after[seconds]', String(expiresAfterSeconds)] as const]),
  ];
}

async function* multipart(
  boundary: string,
  fields: readonly (readonly [string, string])[],
  filename: string,
  file: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const text = new TextEncoder();
  for (const [name, value] of fields)
    yield text.encode(`--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
  yield text.encode(
    `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${quoted(filename)}"\r\ncontent-type: application/octet-stream\r\n\r\n`,
  );
  yield* file;
  yield text.encode(`\r\n--${boundary}--\r\n`);
}

/** Opened here: a wrong path must fail by its name, not as a broken request. */
async function openPath(path: string) {
  const [{ open }, { basename }, { Readable }] = await Promise.all([
    import('node:fs/promises'),
    import('node:path'),
    import('node:stream'),
  ]);
  const handle = await open(path, 'r');
  const { size } = await handle.stat();
  return {
    size,
    name: basename(path),
    async slice(start: number, end: number) {
      const bytes = new Uint8Array(end - start);
      for (let at = 0; at < bytes.length; ) {
        const { bytesRead } = await handle.read(bytes, at, bytes.length - at, start + at);
        if (bytesRead === 0) throw new Error(`${path} became shorter while it was uploaded`);
        at += bytesRead;
      }
      return new Blob([bytes]);
    },
    form: (boundary: string, options: UploadOptions, name: string) =>
      Readable.toWeb(
        Readable.from(multipart(boundary, fieldsOf(options), name, handle.createReadStream({ autoClose: false })), {
          objectMode: false,
        }),
      ) as ReadableStream<Uint8Array>,
    close: () => handle.close(),
  };
}

function inParts(http: Http, source: PartSource, filename: string, options: UploadOptions, partBytes: number): Promise<FileObject> {
  const expires: ExpiresAfter | undefined =
    options.expiresAfterSeconds === undefined ? undefined : { anchor: 'created_at', seconds: options.expiresAfterSeconds };
  const body = {
    purpose: 'fine-tune' as const,
    filename,
    bytes: source.size,
    mime_type: 'application/jsonl',
    ...(options.onInvalid === undefined ? {} : { on_invalid: options.onInvalid }),
    ...(expires === undefined ? {} : { expires_after: expires }),
  };
  return uploadInParts(http, source, body, { ...options, partBytes });
}

export async function uploadFile(http: Http, source: string | Blob, options: UploadOptions = {}): Promise<FileObject> {
  const { partBytes = maxPartBytes } = options;
  if (!Number.isSafeInteger(partBytes) || partBytes < 1 || partBytes > maxPartBytes)
    throw new RangeError(`partBytes must be an integer from 1 to ${maxPartBytes}, not ${partBytes}`);
  const send = async (init: RequestInit): Promise<FileObject> => {
    const response = await http.fetch('/v1/files', { method: 'POST', ...init, ...(options.signal ? { signal: options.signal } : {}) });
    return (await (await requireOk(response)).json()) as FileObject;
  };
  if (typeof source !== 'string') {
    const filename = options.filename ?? 'upload.jsonl';
    if (source.size > partBytes) {
      const slices = { size: source.size, slice: async (start: number, end: number) => source.slice(start, end) };
      return inParts(http, slices, filename, options, partBytes);
    }
    const form = new FormData();
    for (const [name, value] of fieldsOf(options)) form.set(name, value);
    form.set('file', source, filename);
    return send({ body: form });
  }
  const file = await openPath(source);
  try {
    const filename = options.filename ?? file.name;
    if (file.size > partBytes) return await inParts(http, file, filename, options, partBytes);
    const boundary = `rowsmith-${crypto.randomUUID()}`;
    return await send({
      headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
      body: file.form(boundary, options, filename),
      duplex: 'half',
    });
  } finally {
    await file.close();
  }
}
