/** A backup into an empty installation: objects first, rows last, so that no row ever names an object that is not there. */
import { createReadStream } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { loadTables, requireEmptyDatabase } from '@rowsmith/db';
import type { Objects } from './backup.js';
import { BackupError, type BackupIndex, hashFile, linesOf, paths, readIndex, type StoredObject, writeWhole } from './folder.js';

export interface RestoreTarget {
  /** Of a database without tables. */
  readonly databaseUrl: string;
  readonly objects: Objects;
  /** Where secrets are kept; null: they are in the environment, and theirs to bring. */
  readonly secretsDir: string | null;
}

/** Opened when it is read: a key that the store refuses opens nothing. */
async function* contentOf(file: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(file);
}

/** Everything is checked against its SHA-256 before the first row is stored. Throws BackupError or RestoreError; the database is empty then. */
export async function restore(folder: string, target: RestoreTarget, say: (line: string) => void): Promise<BackupIndex> {
  const index = await readIndex(folder);
  await requireEmptyDatabase(target.databaseUrl);
  for (const [name, sha256] of Object.entries(index.sha256))
    if ((await hashFile(join(folder, name))) !== sha256) throw new BackupError(`${name} is not what the backup says: it is damaged.`);

  let count = 0;
  for await (const line of linesOf(join(folder, paths.objectList))) {
    const { key, sha256 } = JSON.parse(line) as StoredObject;
    const stored = await target.objects.put(key, contentOf(join(folder, paths.object(key))));
    if (stored.sha256 !== sha256) {
      await target.objects.delete(key);
      throw new BackupError(`the object ${key} is not what the backup says: it is damaged.`);
    }
    count += 1;
  }
  if (count !== index.objects.count) throw new BackupError(`the backup lists ${count} objects and says ${index.objects.count}.`);
  say(`Restored ${count} objects`);

  await loadTables(target.databaseUrl, index.database, (table) => linesOf(join(folder, paths.table(table))));
  say(`Restored ${index.database.tables.reduce((sum, { rows }) => sum + rows, 0)} rows`);
  if (target.secretsDir !== null) {
    await mkdir(target.secretsDir, { recursive: true });
    for (const name of ['pepper', 'api-key', 'worker-id']) {
      const kept = join(folder, paths.secret(name));
      if (await stat(kept).catch(() => null)) await writeWhole(join(target.secretsDir, name), createReadStream(kept));
    }
  }
  return index;
}
