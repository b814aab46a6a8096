import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { systemErrorCode } from './errors.js';

/** What a cache folder must hold. Written last, so a folder without it is not whole. */
export interface FolderManifest {
  /** Where the content came from: package, version and hash, or the key of a build. */
  readonly source: string;
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[];
}

const manifestName = 'manifest.json';
const stagePrefix = '.stage-';
const dayMs = 24 * 60 * 60 * 1000;

export async function sha256OfFile(path: string, onBytes?: (bytes: number) => void): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer);
    onBytes?.((chunk as Buffer).length);
  }
  return hash.digest('hex');
}

function parseManifest(text: string): FolderManifest | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('source' in value) || !('files' in value)) return null;
    const { source, files } = value;
    if (typeof source !== 'string' || !Array.isArray(files) || files.length === 0) return null;
    const sound = files.every(
      (f: { path?: unknown; bytes?: unknown; sha256?: unknown } | null) =>
        typeof f?.path === 'string' && typeof f.bytes === 'number' && typeof f.sha256 === 'string',
    );
    return sound ? { source, files } : null;
  } catch {
    return null;
  }
}

async function readManifest(folder: string, source: string): Promise<FolderManifest | null> {
  const text = await readFile(join(folder, manifestName), 'utf8').catch(() => null);
  const manifest = text === null ? null : parseManifest(text);
  return manifest?.source === source ? manifest : null;
}

/** Are all files there with their sizes? Costs a stat per file; `isWhole` also hashes them (about 1 s per GB). */
export async function hasAllFiles(folder: string, source: string): Promise<boolean> {
  const manifest = await readManifest(folder, source);
  if (!manifest) return false;
  const sizes = await Promise.all(
    manifest.files.map((f) =>
      stat(join(folder, f.path)).then(
        (s) => s.size === f.bytes,
        () => false,
      ),
    ),
  );
  return sizes.every(Boolean);
}

/** True when every file of the manifest has its SHA-256. `onBytes(done, total)` reports the hashing. */
export async function isWhole(folder: string, source: string, onBytes?: (done: number, total: number) => void): Promise<boolean> {
  if (!(await hasAllFiles(folder, source))) return false;
  const manifest = await readManifest(folder, source);
  if (!manifest) return false;
  const total = manifest.files.reduce((sum, f) => sum + f.bytes, 0);
  let done = 0;
  for (const f of manifest.files) {
    const sha256 = await sha256OfFile(join(folder, f.path), (bytes) => {
      done += bytes;
      onBytes?.(done, total);
    });
    if (sha256 !== f.sha256) return false;
  }
  return true;
}

/**
 * Makes `folder` by `fill`, which writes into a stage beside it and returns the manifest. The stage gets its final name by one rename:
 * a kill leaves a stage that nobody takes for whole, and of two set-ups at once the later one keeps or replaces a whole folder.
 * The stage is removed when `fill` fails.
 */
export async function publishFolder(folder: string, fill: (stage: string) => Promise<FolderManifest>): Promise<void> {
  const parent = dirname(folder);
  await mkdir(parent, { recursive: true });
  await removeAbandonedStages(parent);
  const stage = await mkdtemp(join(parent, `${stagePrefix}${basename(folder)}-`));
  try {
    const manifest = await fill(stage);
    const file = await open(join(stage, manifestName), 'wx');
    await file.writeFile(`${JSON.stringify(manifest, null, 2)}\n`);
    await file.sync();
    await file.close();
    await moveIntoPlace(stage, folder, manifest.source);
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

async function moveIntoPlace(stage: string, folder: string, source: string): Promise<void> {
  for (;;) {
    try {
      await rename(stage, folder);
      return;
    } catch (error) {
      const code = systemErrorCode(error);
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    }
    if (await isWhole(folder, source)) return;
    // Processes that have mapped the broken files keep them until they end.
    const aside = await mkdtemp(join(dirname(folder), `${stagePrefix}broken-`));
    await rename(folder, join(aside, 'content')).catch((error: unknown) => {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    });
    await rm(aside, { recursive: true, force: true });
  }
}

/** Stages of set-ups that were killed: no set-up takes a day. */
async function removeAbandonedStages(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(stagePrefix)) continue;
    const path = join(parent, name);
    const made = await stat(path).catch(() => null);
    if (made && Date.now() - made.mtimeMs > dayMs) await rm(path, { recursive: true, force: true });
  }
}
