import { existsSync } from 'node:fs';
import { copyFile, lstat, mkdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { addonName } from './addon.js';
import { libraryNames } from './tensorflow-library.js';
import { sha256OfFile } from './verified-folder.js';

/** What tfjs-node-gpu needs inside its own folder, relative to it. */
export const addonPath = join('lib', 'napi-v8', addonName);
export const libraryPath = (name: string) => join('deps', 'lib', name);

/**
 * Puts the addon (a copy: `$ORIGIN` must be the package) and links to the cached libraries into the npm package of this clone.
 * Returns false when all was there already.
 */
export async function putPartsIntoPackage(tfjs: string, library: string, addon: string): Promise<boolean> {
  let changed = false;
  for (const name of libraryNames) changed = (await ensureLink(join(library, name), join(tfjs, libraryPath(name)))) || changed;
  return (await ensureCopy(addon, join(tfjs, addonPath))) || changed;
}

/** The first part that is not there (a link into a removed cache counts as missing), or null. */
export function missingPart(tfjs: string): string | null {
  return [addonPath, ...libraryNames.map(libraryPath)].map((part) => join(tfjs, part)).find((path) => !existsSync(path)) ?? null;
}

async function ensureLink(target: string, path: string): Promise<boolean> {
  if ((await readlink(path).catch(() => null)) === target) return false;
  await replace(path, (temporary) => symlink(target, temporary));
  return true;
}

async function ensureCopy(source: string, path: string): Promise<boolean> {
  const there = await lstat(path).catch(() => null);
  if (there?.isFile() && (await sha256OfFile(path)) === (await sha256OfFile(source))) return false;
  await replace(path, (temporary) => copyFile(source, temporary));
  return true;
}

/** By rename, so that a process that loads the old file is not disturbed. */
async function replace(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.new`;
  await rm(temporary, { force: true });
  await make(temporary);
  await rename(temporary, path);
}
