/**
 * Objects as files under one folder. Nothing is visible until it is whole: written beside under a temporary name, synced, then linked (first writer
 * wins) or renamed (last writer wins) to its key, and the folder synced so that a power cut cannot undo what was acknowledged.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, type FileHandle, link, mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ObjectStat } from '@rowsmith/core';
import { InvalidKeyError, isTemporaryName, namesOfKey, temporaryName } from './object-key.js';
import type { OpenObjectStore } from './open-object-store.js';

const isMissing = (error: unknown) => ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

export class FsObjectStore implements OpenObjectStore {
  /** Folders whose entries in the folders above are known to be on disk. */
  readonly #synced = new Set<string>();

  constructor(private readonly root: string) {}

  prepare(): Promise<void> {
    return this.#makeFolder(this.root);
  }

  close(): void {}

  async put(key: string, body: AsyncIterable<Uint8Array> | Uint8Array): Promise<{ readonly sha256: string; readonly bytes: number }> {
    const path = this.#path(key);
    const { temporary, ...written } = await this.#writeBeside(path, body);
    try {
      await rename(temporary, path);
    } catch (error) {
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
    await syncFolder(dirname(path));
    return written;
  }

  async putIfAbsent(key: string, body: Uint8Array): Promise<'created' | 'exists'> {
    const path = this.#path(key);
    const { temporary } = await this.#writeBeside(path, body);
    try {
      await link(temporary, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      return 'exists';
    } finally {
      await unlink(temporary);
    }
    await syncFolder(dirname(path));
    return 'created';
  }

  async get(key: string, range?: { readonly start: number; readonly end: number }): Promise<AsyncIterable<Uint8Array> | null> {
    const file = await this.#open(key);
    if (file === null) return null;
    // The handle keeps the content readable even if the object is replaced or deleted meanwhile.
    return createReadStream('', { fd: file, highWaterMark: 1 << 18, ...(range ? { start: range.start, end: range.end } : {}) });
  }

  async getBytes(key: string): Promise<Uint8Array | null> {
    try {
      return await readFile(this.#path(key));
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  async head(key: string): Promise<ObjectStat | null> {
    try {
      const info = await stat(this.#path(key));
      return info.isFile() ? { key, bytes: info.size, modifiedAt: info.mtime } : null;
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  /** In the order of the keys' names. `prefix`: '' or whole names, e.g. `jobs/x`. */
  async *list(prefix: string): AsyncIterable<ObjectStat> {
    const folder = prefix === '' ? this.root : this.#path(prefix.replace(/\/$/, ''));
    yield* this.#walk(folder, prefix.replace(/\/$/, ''));
  }

  async delete(key: string): Promise<void> {
    const path = this.#path(key);
    try {
      await unlink(path);
      await syncFolder(dirname(path));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  /** Of the file system, which may be another machine's. A disk that takes no more files tells it too: by it garbage is known, and space comes back. */
  async now(): Promise<Date> {
    await this.#makeFolder(this.root);
    const path = join(this.root, temporaryName(`clock-${randomBytes(8).toString('hex')}`));
    const file = await open(path, 'wx', 0o600).catch(async (error: NodeJS.ErrnoException) => {
      if (!['ENOSPC', 'EDQUOT'].includes(error.code ?? '')) throw error;
      // Nothing changes but the folder's ctime, which nobody can set.
      await chmod(this.root, (await stat(this.root)).mode & 0o7777);
      return null;
    });
    if (file === null) return (await stat(this.root)).ctime;
    try {
      return (await file.stat()).mtime;
    } finally {
      await file.close();
      await unlink(path);
    }
  }

  async sweepUnfinished(olderThanMs: number): Promise<number> {
    const before = (await this.now()).getTime() - olderThanMs;
    let swept = 0;
    for (const entry of await readdir(this.root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !isTemporaryName(entry.name)) continue;
      const path = join(entry.parentPath, entry.name);
      const info = await stat(path).catch(() => null);
      if (info === null || info.mtimeMs > before) continue;
      await unlink(path).catch(() => undefined);
      swept += 1;
    }
    return swept;
  }

  async *#walk(folder: string, prefix: string): AsyncIterable<ObjectStat> {
    const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (isTemporaryName(entry.name)) continue;
      const key = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
      if (entry.isDirectory()) yield* this.#walk(join(folder, entry.name), key);
      else if (entry.isFile()) {
        const found = await this.head(key);
        if (found) yield found;
      }
    }
  }

  #path(key: string): string {
    const names = namesOfKey(key);
    if (names.some(isTemporaryName)) throw new InvalidKeyError(key);
    return join(this.root, ...names);
  }

  async #open(key: string): Promise<FileHandle | null> {
    try {
      const file = await open(this.#path(key), 'r');
      if ((await file.stat()).isFile()) return file;
      await file.close();
      return null;
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  /**
   * With its parents, each synced into the folder that holds it: else a power cut could take a whole new branch, with what was acknowledged in it.
   * Folders that others made are synced once too, for their maker may have died in between.
   */
  async #makeFolder(folder: string): Promise<void> {
    const first = await mkdir(folder, { recursive: true });
    if (first === undefined && this.#synced.has(folder)) return;
    for (let made = folder; made !== dirname(this.root); made = dirname(made)) {
      await syncFolder(dirname(made));
      this.#synced.add(made);
    }
    // Above the store's own folder only what was made just now.
    for (let made = this.root; first !== undefined && made.startsWith(first); made = dirname(made)) await syncFolder(dirname(made));
  }

  async #writeBeside(
    path: string,
    body: AsyncIterable<Uint8Array> | Uint8Array,
  ): Promise<{ temporary: string; sha256: string; bytes: number }> {
    await this.#makeFolder(dirname(path));
    const temporary = join(dirname(path), temporaryName(`${process.pid}-${randomBytes(8).toString('hex')}`));
    const hash = createHash('sha256');
    let bytes = 0;
    const file = await open(temporary, 'wx', 0o600);
    try {
      for await (const chunk of body instanceof Uint8Array ? [body] : body) {
        hash.update(chunk);
        bytes += chunk.byteLength;
        await file.writeFile(chunk);
      }
      await file.sync();
      await file.close();
    } catch (error) {
      await file.close().catch(() => undefined);
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
    return { temporary, sha256: hash.digest('hex'), bytes };
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
