/** What a backup looks like on disk. `backup.json` is written last: a folder without it is no backup. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { DatabaseDump } from '@rowsmith/db';

export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
}
export interface BackupIndex {
  readonly format: 1;
  readonly database: DatabaseDump;
  readonly objects: { readonly count: number; readonly bytes: number };
  /** SHA-256 of objects.jsonl and of every file of rows. */
  readonly sha256: Readonly<Record<string, string>>;
}
export class BackupError extends Error {
  override readonly name = 'BackupError';
  readonly code = 'backup_failed';
}

export const paths = {
  index: 'backup.json',
  objectList: 'objects.jsonl',
  table: (name: string) => `tables/${name}.jsonl`,
  /** Keys are '/'-separated names of [A-Za-z0-9._-] without '..', which the stores enforce. */
  object: (key: string) => `objects/${key}`,
  secret: (name: string) => `secrets/${name}`,
};

/** Streams to a temporary name, syncs, renames: a file that is there is whole. Returns what was written. */
export async function writeWhole(file: string, body: AsyncIterable<Uint8Array | string>, mode = 0o600): Promise<Omit<StoredObject, 'key'>> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const hash = createHash('sha256');
  let bytes = 0;
  const temporary = `${file}.part`;
  await pipeline(
    Readable.from(body),
    async function* (source: AsyncIterable<Uint8Array | string>) {
      for await (const chunk of source) {
        const data = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
        hash.update(data);
        bytes += data.length;
        yield data;
      }
    },
    createWriteStream(temporary, { mode }),
  );
  const handle = await open(temporary, 'r+');
  await handle.sync();
  await handle.close();
  await rename(temporary, file);
  return { bytes, sha256: hash.digest('hex') };
}

export async function hashFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

export async function* linesOf(file: string): AsyncGenerator<string> {
  for await (const line of createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY }))
    if (line !== '') yield line;
}

export async function readIndex(folder: string): Promise<BackupIndex> {
  let text: string;
  try {
    text = await readFile(join(folder, paths.index), 'utf8');
  } catch (error) {
    throw new BackupError(`${folder} has no ${paths.index}: it is no backup, or one that was not finished.`, { cause: error });
  }
  const index = JSON.parse(text) as BackupIndex;
  if (index.format !== 1) throw new BackupError(`${folder} has format ${String(index.format)}; this build reads format 1.`);
  return index;
}
