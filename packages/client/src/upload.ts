/** Uploads: a path is streamed from disk in constant memory (Node only); a Blob goes as it is (browsers too). */
import type { FileObject } from '@rowsmith/contracts';
import { requireOk } from './api-error.js';
import type { Http } from './http.js';

export interface UploadOptions {
  /** Name shown in lists; the path's own, or `upload.jsonl`. */
  readonly filename?: string;
  readonly signal?: AbortSignal;
}

const quoted = (name: string) => name.replace(/[\r\n]/g, ' ').replaceAll('"', '%22');

async function* multipart(boundary: string, filename: string, file: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const text = new TextEncoder();
  yield text.encode(`--${boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n`);
  yield text.encode(
    `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${quoted(filename)}"\r\ncontent-type: application/octet-stream\r\n\r\n`,
  );
  yield* file;
  yield text.encode(`\r\n--${boundary}--\r\n`);
}

export async function uploadFile(http: Http, source: string | Blob, options: UploadOptions = {}): Promise<FileObject> {
  const signal = options.signal ? { signal: options.signal } : {};
  let response: Response;
  if (typeof source === 'string') {
    const [{ createReadStream }, { basename }, { Readable }, { open }] = await Promise.all([
      import('node:fs'),
      import('node:path'),
      import('node:stream'),
      import('node:fs/promises'),
    ]);
    // Opened first: a wrong path must fail here by its name, not as a broken request.
    await (await open(source, 'r')).close();
    const boundary = `rowsmith-${crypto.randomUUID()}`;
    const body = Readable.toWeb(
      Readable.from(multipart(boundary, options.filename ?? basename(source), createReadStream(source)), { objectMode: false }),
    );
    response = await http.fetch('/v1/files', {
      method: 'POST',
      headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
      body: body as ReadableStream<Uint8Array>,
      duplex: 'half',
      ...signal,
    });
  } else {
    const form = new FormData();
    form.set('purpose', 'fine-tune');
    form.set('file', source, options.filename ?? 'upload.jsonl');
    response = await http.fetch('/v1/files', { method: 'POST', body: form, ...signal });
  }
  return (await (await requireOk(response)).json()) as FileObject;
}
