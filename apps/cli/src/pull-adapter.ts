/** Downloads an adapter tar and unpacks it into a folder; a broken download leaves nothing there. */

import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { RowsmithClient } from '@rowsmith/client';
import { extract } from 'tar-stream';
import { CliError } from './exit.js';

export interface PulledFile {
  readonly name: string;
  readonly bytes: number;
}

export interface PullOptions {
  readonly format: string;
  /** Id; undefined: the adapter of the finished job. */
  readonly checkpoint?: string | undefined;
}

/** `folder` must not exist or be empty. Entries that are not plain files directly in the folder are refused: a tar is input from outside. */
export async function pullAdapter(client: RowsmithClient, jobId: string, options: PullOptions, folder: string): Promise<PulledFile[]> {
  const existing = await readdir(folder).catch(() => []);
  if (existing.length > 0) throw new CliError(`${folder} exists and is not empty: choose another --out`);
  await mkdir(dirname(folder), { recursive: true });
  const temporary = await mkdtemp(join(dirname(folder), `.${basename(folder)}-`));
  try {
    const files: PulledFile[] = [];
    const unpack = extract();
    const done = pipeline(
      Readable.fromWeb((await client.downloadAdapter(jobId, options)) as Parameters<typeof Readable.fromWeb>[0]),
      unpack,
    );
    for await (const entry of unpack) {
      const { name, size, type } = entry.header;
      if (type !== 'file' || !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
        throw new CliError(`the adapter holds an entry that is not a plain file: ${JSON.stringify(name)}`);
      await pipeline(entry, createWriteStream(join(temporary, name), { flags: 'wx' }));
      files.push({ name, bytes: size ?? 0 });
    }
    await done;
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder);
    return files;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}
