/**
 * One `rowsmith up` per data folder. The lock is a file with the owner's pid and start time: a pid alone could have been reused
 * after a crash, and a stale lock must never ask the user to delete files by hand.
 */
import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface LockOwner {
  readonly pid: number;
  /** Start time of the process in clock ticks since boot (Linux), '' elsewhere. */
  readonly started: string;
  /** Set once the API answers. */
  readonly url: string | null;
}

export class DataFolderBusyError extends Error {
  override readonly name = 'DataFolderBusyError';
  constructor(
    readonly dataDir: string,
    readonly owner: LockOwner,
  ) {
    super(
      `${dataDir} is in use by another \`rowsmith up\` (process ${owner.pid}${owner.url ? `, ${owner.url}` : ''}). Stop it, or choose another --data folder.`,
    );
  }
}

const lockFile = (dataDir: string) => join(dataDir, 'up.lock');

async function startTime(pid: number): Promise<string | null> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return null;
  }
  try {
    // Field 22 of /proc/<pid>/stat; the command name in field 2 may hold spaces, so count from the last ')'.
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/** The live owner of a data folder, or null. */
export async function lockOwner(dataDir: string): Promise<LockOwner | null> {
  let owner: LockOwner;
  try {
    owner = JSON.parse(await readFile(lockFile(dataDir), 'utf8')) as LockOwner;
  } catch {
    return null;
  }
  if (!Number.isInteger(owner.pid)) return null;
  const started = await startTime(owner.pid);
  return started !== null && started === owner.started ? owner : null;
}

export interface DataLock {
  /** Publishes where the API listens, for `rowsmith` commands run in the same folder. */
  publish(url: string): Promise<void>;
  release(): Promise<void>;
}

/** Throws DataFolderBusyError when a live process owns the folder. */
export async function lockDataFolder(dataDir: string): Promise<DataLock> {
  const file = lockFile(dataDir);
  const mine = { pid: process.pid, started: (await startTime(process.pid)) ?? '', url: null as string | null };
  const temporary = `${file}.${process.pid}`;
  await writeFile(temporary, JSON.stringify(mine), { mode: 0o600 });
  try {
    for (;;) {
      try {
        await link(temporary, file);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        const owner = await lockOwner(dataDir);
        if (owner !== null) throw new DataFolderBusyError(dataDir, owner);
        await unlink(file).catch(() => undefined);
      }
    }
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
  return {
    async publish(url) {
      await writeFile(temporary, JSON.stringify({ ...mine, url }), { mode: 0o600 });
      await rename(temporary, file);
    },
    async release() {
      await unlink(file).catch(() => undefined);
    },
  };
}
