import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ModelError } from '../errors.js';
import { type HubClient, type HubFile, type HubRepo, reason, statusError } from './hub-client.js';

export interface DownloadLimits {
  /** Attempts in a row without a new byte before giving up. */
  readonly attempts: number;
  readonly backoffMs: number;
  /** A connection that sends nothing for so long counts as cut. */
  readonly stallMs: number;
}
export const downloadLimits: DownloadLimits = { attempts: 5, backoffMs: 500, stallMs: 60_000 };

/**
 * Fetches one file to `target`. What an earlier call left in `<target>.part` is continued; the finished file is checked against the hub's hash
 * before it gets its name. A cut connection resumes by itself; wrong bytes are deleted and refused (`hash_mismatch`).
 */
export async function downloadFile(
  client: HubClient,
  repo: HubRepo,
  commit: string,
  file: HubFile,
  target: string,
  onBytes: (done: number) => void,
  limits: DownloadLimits = downloadLimits,
): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const part = `${target}.part`;
  const handle = await open(part, 'a+');
  try {
    let have = (await handle.stat()).size;
    if (have > file.size) {
      await handle.truncate(0);
      have = 0;
    }
    onBytes(have);
    for (let failures = 0; have < file.size; ) {
      const before = have;
      try {
        have = await receive(client, repo, commit, file, handle, have, onBytes, limits.stallMs);
      } catch (cause) {
        if (cause instanceof ModelError && cause.code !== 'network') throw cause;
        have = (await handle.stat()).size;
        failures = have > before ? 0 : failures + 1;
        if (failures >= limits.attempts) {
          throw new ModelError(
            'network',
            `stopped at ${have} of ${file.size} bytes (${reason(cause)}); run the same command again to go on from there`,
            {
              file: file.path,
              cause,
            },
          );
        }
        await delay(limits.backoffMs * 2 ** failures);
      }
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  const found = await contentHash(part, file);
  if (found !== file.hash.hex) {
    await rm(part, { force: true });
    throw new ModelError(
      'hash_mismatch',
      `the bytes received have hash ${found}, the hub promised ${file.hash.hex}; they were deleted, try again`,
      { file: file.path },
    );
  }
  await rename(part, target);
}

/** One connection. Returns the bytes there are afterwards; throws when it was cut short. */
async function receive(
  client: HubClient,
  repo: HubRepo,
  commit: string,
  file: HubFile,
  handle: FileHandle,
  from: number,
  onBytes: (done: number) => void,
  stallMs: number,
): Promise<number> {
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(new Error(`nothing received for ${stallMs} ms`)), stallMs);
  try {
    const response = await client.open(repo, commit, file.path, from, stalled.signal);
    if (!response.ok || !response.body) throw statusError(response.status, `${repo.id}: ${file.path}`, client.endpoint);
    let done = from;
    if (response.status === 206) {
      const range = response.headers.get('content-range') ?? '';
      if (!range.startsWith(`bytes ${from}-`))
        throw new ModelError('network', `asked for bytes from ${from}, was sent ${JSON.stringify(range)}`, { file: file.path });
    } else if (from > 0) {
      // The server does not do ranges: start over.
      await handle.truncate(0);
      done = 0;
    }
    for await (const chunk of response.body) {
      timer.refresh();
      const bytes = chunk as Uint8Array;
      if (done + bytes.length > file.size) {
        await handle.truncate(0);
        throw new ModelError('hash_mismatch', `the server sends more than the promised ${file.size} bytes`, { file: file.path });
      }
      for (let written = 0; written < bytes.length; ) written += (await handle.write(bytes, written)).bytesWritten;
      done += bytes.length;
      onBytes(done);
    }
    if (done < file.size) throw new Error(`the connection ended at byte ${done}`);
    return done;
  } finally {
    clearTimeout(timer);
  }
}

async function contentHash(path: string, file: HubFile): Promise<string> {
  const hash = createHash(file.hash.kind === 'sha256' ? 'sha256' : 'sha1');
  if (file.hash.kind === 'git') hash.update(`blob ${(await stat(path)).size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
