/**
 * A backup of a whole installation, taken while it works. The order: objects, then the tables (one snapshot), then the objects that came meanwhile.
 * Rows point at objects and never the other way: an object is whole before a row names it, and goes only after no row does. So the tables must be read while
 * the objects that they name are there, and those are what the two passes hold: the first has everything old, which is the long part and may be deleted at any
 * time, the second the few things written since. Tables first and objects after would lose checkpoints that their job replaced during a long copy;
 * objects first and tables after would lose every adapter finished during it. An object that nothing names does no harm: it is garbage, and collected as such.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { dumpTables } from '@rowsmith/db';
import type { openObjectStore } from '@rowsmith/storage';
import { BackupError, type BackupIndex, linesOf, paths, type StoredObject, writeWhole } from './folder.js';

export type Objects = Awaited<ReturnType<typeof openObjectStore>>;

export interface BackupSource {
  readonly databaseUrl: string;
  readonly objects: Objects;
  /** By name; what the tables hold under them is useless without. */
  readonly secrets: Readonly<Record<string, string>>;
}

/** `folder` must be empty or missing. Throws BackupError; what it left then has no index and is refused by `restore`. */
export async function backup(source: BackupSource, folder: string, say: (line: string) => void): Promise<BackupIndex> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if ((await readdir(folder)).length > 0) throw new BackupError(`${folder} is not empty. Name a new folder for every backup.`);
  const copied = new Map<string, StoredObject>();
  await copyNewObjects(source.objects, folder, copied);
  say(`Copied ${copied.size} objects`);

  const sha256: Record<string, string> = {};
  const database = await dumpTables(source.databaseUrl, async (name, lines) => {
    sha256[paths.table(name)] = (await writeWhole(join(folder, paths.table(name)), ended(lines))).sha256;
  });
  say(`Copied ${database.tables.reduce((sum, { rows }) => sum + rows, 0)} rows of ${database.tables.length} tables`);

  const before = copied.size;
  await copyNewObjects(source.objects, folder, copied);
  say(`Copied ${copied.size - before} objects that came meanwhile`);
  await requireReferenced(folder, copied);

  for (const [name, value] of Object.entries(source.secrets)) await writeWhole(join(folder, paths.secret(name)), one(`${value}\n`));
  const objects = [...copied.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  sha256[paths.objectList] = (await writeWhole(join(folder, paths.objectList), ended(each(objects)))).sha256;
  const index: BackupIndex = {
    format: 1,
    database,
    objects: { count: objects.length, bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0) },
    sha256,
  };
  await writeWhole(join(folder, paths.index), one(`${JSON.stringify(index, null, 2)}\n`));
  return index;
}

/** A bucket may hold what others put there: their names must not become paths here. The service's own marks (readiness) are nobody's data. */
const isData = (key: string) =>
  !key.startsWith('service/') && key.split('/').every((name) => /^[A-Za-z0-9._-]+$/.test(name) && name !== '.' && name !== '..');

async function copyNewObjects(store: Objects, folder: string, copied: Map<string, StoredObject>): Promise<void> {
  for await (const { key } of store.list('')) {
    if (copied.has(key) || !isData(key)) continue;
    const body = await store.get(key);
    // Deleted since it was listed.
    if (body === null) continue;
    copied.set(key, { key, ...(await writeWhole(join(folder, paths.object(key)), body)) });
  }
}

/** Files and adapters that the copied rows name must be there, and adapters whole. Checkpoints need not: a job begins again from an older one, or from its start. */
async function requireReferenced(folder: string, copied: ReadonlyMap<string, StoredObject>): Promise<void> {
  const missing: string[] = [];
  const need = (key: unknown) => {
    if (typeof key === 'string' && !copied.has(key)) missing.push(key);
  };
  for await (const line of linesOf(join(folder, paths.table('file')))) need((JSON.parse(line) as { key: string }).key);
  for await (const line of linesOf(join(folder, paths.table('job')))) {
    const { adapter_manifest_key: key, adapter_manifest_sha256: sha256 } = JSON.parse(line) as Record<string, string | null>;
    if (typeof key !== 'string') continue;
    need(key);
    const text = await readFile(join(folder, paths.object(key)), 'utf8').catch(() => null);
    if (text === null) continue;
    if (sha256 && createHash('sha256').update(text).digest('hex') !== sha256)
      throw new BackupError(`${key} is not what the tables say: the store is damaged.`);
    for (const file of (JSON.parse(text) as { files: StoredObject[] }).files) {
      need(file.key);
      const found = copied.get(file.key);
      if (found && found.sha256 !== file.sha256) throw new BackupError(`${file.key} is not what its manifest says: the store is damaged.`);
    }
  }
  if (missing.length > 0)
    throw new BackupError(
      `${missing.length} objects that rows name were deleted while they were copied, or are lost (first: ${missing[0]}). Try again.`,
    );
}

async function* one(text: string): AsyncGenerator<string> {
  yield text;
}
async function* each(values: readonly unknown[]): AsyncGenerator<string> {
  for (const value of values) yield JSON.stringify(value);
}
async function* ended(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`;
}

/** Values of a data folder that a backup needs; those that are not there are left out. */
export async function secretsOf(dataDir: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of secretNames) {
    const file = join(dataDir, name);
    if (await stat(file).catch(() => null)) found[name] = (await readFile(file, 'utf8')).trim();
  }
  return found;
}
/** pepper: without it no stored API key and no webhook secret can be used. worker-id: under it a worker takes back what was running. */
export const secretNames = ['pepper', 'api-key', 'worker-id'] as const;
