/** Downloads into a file under another name until it is whole; `-` is stdout. */
import { createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const readable = (body: ReadableStream<Uint8Array>) => Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]);

/** Bytes written. A file of this name is replaced, all at once. */
export async function saveStream(body: ReadableStream<Uint8Array>, path: string): Promise<number> {
  let bytes = 0;
  const counted = async function* (source: AsyncIterable<Uint8Array>) {
    for await (const chunk of source) {
      bytes += chunk.byteLength;
      yield chunk;
    }
  };
  if (path === '-') {
    await pipeline(readable(body), counted, process.stdout, { end: false });
    return bytes;
  }
  const temporary = join(dirname(path), `.${basename(path)}.tmp-${process.pid}`);
  try {
    await pipeline(readable(body), counted, createWriteStream(temporary, { flags: 'wx' }));
    const handle = await open(temporary, 'r');
    await handle.sync().finally(() => handle.close());
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return bytes;
}
