/** A file system of a few megabytes that a test fills for real: a tmpfs, for which the right to mount is needed. */
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmdirSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  readonly folder: string;
  /** Fills the disk until just so many pages are left: what a file takes is whole pages. Again, with another number, as often as wanted. */
  leave(pages: number): void;
  /** All space is back. */
  free(): void;
  /** Every file and folder, the filling left out, sorted. */
  names(): Promise<string[]>;
  unmount(): void;
}

const fillerName = '.filler';
const zeros = Buffer.alloc(1 << 20);
const mount = (folder: string, bytes: number, inodes = 0) =>
  spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},nr_inodes=${inodes},mode=0777`, 'tmpfs', folder], { encoding: 'utf8' });
const umount = (folder: string) => spawnSync('umount', ['--lazy', folder], { stdio: 'ignore' });

/** Whether a small disk can be mounted on this folder, which takes root and no container that forbids it. */
export function canMount(folder: string): boolean {
  return mount(folder, 1 << 20).status === 0 && umount(folder).status === 0;
}

/** inodes: how many files, folders and links it takes; 0: any number. null, and a warning that says why: this process may not mount. */
export function mountSmallDisk(bytes: number, inodes = 0): SmallDisk | null {
  const folder = mkdtempSync(join(tmpdir(), 'rowsmith-disk-'));
  const { status, stderr } = mount(folder, bytes, inodes);
  if (status !== 0) {
    rmdirSync(folder);
    process.emitWarning(`tests on a full disk are left out, since none can be mounted here: ${stderr?.trim() ?? 'there is no mount'}`);
    return null;
  }
  const filler = join(folder, fillerName);
  return {
    folder,
    leave(pages) {
      const file = openSync(filler, 'a');
      try {
        const { size } = fstatSync(file);
        const { bavail, bsize } = statfsSync(folder);
        const target = size + (bavail - pages) * bsize;
        if (target < 0) throw new RangeError(`this disk has no ${pages} pages`);
        ftruncateSync(file, Math.min(size, target));
        for (let at = size; at < target; ) at += writeSync(file, zeros, 0, Math.min(zeros.length, target - at));
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(filler, { force: true }),
    async names() {
      return (await readdir(folder, { recursive: true })).filter((name) => name !== fillerName).sort();
    },
    unmount() {
      umount(folder);
      rmdirSync(folder);
    },
  };
}

export interface WriteSite {
  /** Does it from the start, once. May keep what it wrote only when it resolves. */
  write(): Promise<unknown>;
  /** What a reader can see of it, and what it left behind; '' or [] when there is nothing. */
  left(): Promise<unknown>;
}

/**
 * Writes with no free page, one, two ... until it succeeds: every place where the space can end is met. Returns why it failed each time, and what was left
 * after it, by the number of pages. Throws when it does not succeed with `mostPages` either.
 */
export async function fillAtEveryPage(
  disk: SmallDisk,
  { write, left }: WriteSite,
  { mostPages = 64 } = {},
): Promise<readonly { readonly error: unknown; readonly left: unknown }[]> {
  const failures: { error: unknown; left: unknown }[] = [];
  try {
    for (let pages = 0; pages <= mostPages; pages++) {
      disk.leave(pages);
      try {
        await write();
        return failures;
      } catch (error) {
        failures.push({ error, left: await left() });
      }
    }
  } finally {
    disk.free();
  }
  throw new Error(`does not succeed with ${mostPages} free pages either`, { cause: failures.at(-1)?.error });
}

/** A folder on the disk. */
export function folderOn(disk: SmallDisk, name: string): string {
  const folder = join(disk.folder, name);
  mkdirSync(folder);
  return folder;
}
