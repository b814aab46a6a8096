/** A deterministic tar of stored objects: fixed times, owners and order, so that the same adapter is always the same bytes. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import type { ObjectStore } from '@rowsmith/core';
import { pack } from 'tar-stream';

export interface TarEntry {
  readonly name: string;
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
}

const block = 512;
/** Name field of the ustar header; longer names would need an extended header and a different size. */
const maxNameBytes = 100;

/** Size of the archive in bytes: header and padded content per entry, then two empty blocks. */
export const tarSize = (entries: readonly TarEntry[]) =>
  entries.reduce((sum, e) => sum + block + Math.ceil(e.bytes / block) * block, 2 * block);

class ContentMismatchError extends Error {
  override readonly name = 'ContentMismatchError';
  constructor(entry: TarEntry) {
    super(`stored object ${entry.key} is missing or is not what its manifest says`);
  }
}

/** Streams the archive. Content that does not match its hash destroys the stream, so the client sees a broken download and not a bad file. */
export function tarOf(objects: Pick<ObjectStore, 'get'>, entries: readonly TarEntry[]): Readable {
  for (const { name } of entries) {
    if (Buffer.byteLength(name) > maxNameBytes) throw new RangeError(`tar entry name is longer than ${maxNameBytes} bytes: ${name}`);
  }
  const archive = pack();
  const fill = async () => {
    for (const item of entries) {
      const body = await objects.get(item.key);
      if (body === null) throw new ContentMismatchError(item);
      const entry = archive.entry({
        name: item.name,
        size: item.bytes,
        mode: 0o644,
        mtime: new Date(0),
        uid: 0,
        gid: 0,
        uname: '',
        gname: '',
      });
      const closed = once(entry, 'close');
      closed.catch(() => undefined);
      const hash = createHash('sha256');
      let bytes = 0;
      for await (const chunk of body) {
        bytes += chunk.byteLength;
        hash.update(chunk);
        if (bytes > item.bytes) throw new ContentMismatchError(item);
        if (!entry.write(chunk)) await Promise.race([once(entry, 'drain'), closed]);
        if (archive.destroyed) return;
      }
      if (bytes !== item.bytes || hash.digest('hex') !== item.sha256) throw new ContentMismatchError(item);
      const ended = once(entry, 'finish');
      entry.end(undefined);
      await Promise.race([ended, closed]);
    }
    archive.finalize();
  };
  fill().catch((error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))));
  return Readable.from(archive, { objectMode: false });
}
