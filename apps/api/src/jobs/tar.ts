/** A deterministic tar: fixed times, owners and order, so that the same adapter is always the same bytes. */
import { once } from 'node:events';
import { Readable } from 'node:stream';
import type { ObjectStore } from '@rowsmith/core';
import { pack } from 'tar-stream';
import { storedBytes } from './stored-bytes.js';

export interface TarEntry {
  readonly name: string;
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
}
export interface TarContent {
  readonly name: string;
  readonly bytes: number;
  /** Throws when they are not what they should be. */
  readonly read: () => AsyncIterable<Uint8Array>;
}

const block = 512;
/** Name field of the ustar header; longer names would need an extended header and a different size. */
const maxNameBytes = 100;

export const storedContent = (objects: Pick<ObjectStore, 'get'>, entry: TarEntry): TarContent => ({
  name: entry.name,
  bytes: entry.bytes,
  read: () => storedBytes(objects, entry),
});

/** Size of the archive in bytes: header and padded content per entry, then two empty blocks. */
export const tarSize = (entries: readonly Pick<TarContent, 'bytes'>[]) =>
  entries.reduce((sum, e) => sum + block + Math.ceil(e.bytes / block) * block, 2 * block);

/** Streams the archive. Content that throws, or has another length, destroys the stream, so the client sees a broken download and not a bad file. */
export function tarOf(contents: readonly TarContent[]): Readable {
  for (const { name } of contents) {
    if (Buffer.byteLength(name) > maxNameBytes) throw new RangeError(`tar entry name is longer than ${maxNameBytes} bytes: ${name}`);
  }
  const archive = pack();
  const fill = async () => {
    for (const item of contents) {
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
      let bytes = 0;
      for await (const chunk of item.read()) {
        bytes += chunk.byteLength;
        if (bytes > item.bytes) throw new RangeError(`${item.name} has more than the ${item.bytes} bytes that were announced`);
        if (!entry.write(chunk)) await Promise.race([once(entry, 'drain'), closed]);
        if (archive.destroyed) return;
      }
      if (bytes !== item.bytes) throw new RangeError(`${item.name} has ${bytes} bytes, ${item.bytes} were announced`);
      const ended = once(entry, 'finish');
      entry.end(undefined);
      await Promise.race([ended, closed]);
    }
    archive.finalize();
  };
  fill().catch((error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))));
  return Readable.from(archive, { objectMode: false });
}
