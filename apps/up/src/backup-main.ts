/** `rowsmith backup <folder>` and `rowsmith restore <folder>`: the installation of a data folder, or the one that the environment names. */
import { mkdir, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { RestoreError } from '@rowsmith/db';
import { startEmbeddedPostgres } from '@rowsmith/db/embedded';
import { openObjectStore, storageSettings } from '@rowsmith/storage';
import { backup, secretsOf } from './backup/backup.js';
import { BackupError } from './backup/folder.js';
import { restore } from './backup/restore.js';
import { DataFolderBusyError, lockDataFolder, lockOwner } from './data-lock.js';
import { choosePort } from './free-port.js';

const usage = `Usage: rowsmith backup <folder> [--data <folder>]
       rowsmith restore <folder> [--data <folder>]

backup   copies jobs, files, checkpoints, adapters and secrets into a new folder, while the service works or not
restore  puts them into an installation that has none yet

  --data <folder>   the installation (ROWSMITH_DATA, ./.rowsmith)

DATABASE_URL names a Postgres to use instead of the embedded one, ROWSMITH_STORAGE=s3 and its settings the bucket. Base models are not part of it.
`;
const say = (line: string) => process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { data: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    allowPositionals: true,
  });
  const [verb, folder, ...rest] = positionals;
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  if ((verb !== 'backup' && verb !== 'restore') || folder === undefined || rest.length > 0) {
    process.stderr.write(usage);
    return 2;
  }
  const dataDir = resolve(values.data ?? (process.env['ROWSMITH_DATA'] || '.rowsmith'));
  const storage = storageSettings(process.env, dataDir);
  if (storage.faults.length > 0) throw new BackupError(storage.faults.join('\n'));
  const undo: (() => Promise<void>)[] = [];
  try {
    const given = process.env['DATABASE_URL'] || null;
    if (verb === 'restore') await mkdir(dataDir, { recursive: true });
    // A backup of a service that runs uses its server; any other starts one, and keeps `rowsmith up` out meanwhile.
    const runs = verb === 'backup' && (await lockOwner(dataDir)) !== null;
    if (!runs && given === null) {
      if (verb === 'backup')
        await readdir(join(dataDir, 'postgres')).catch(() => refuse(`${dataDir} is no installation: nothing is kept there.`));
      const lock = await lockDataFolder(dataDir);
      undo.push(() => lock.release());
    }
    let databaseUrl = given;
    if (databaseUrl === null) {
      const postgres = await startEmbeddedPostgres({
        dataDir: join(dataDir, 'postgres'),
        port: await choosePort('127.0.0.1', 0),
        log: () => undefined,
      });
      if (!runs) undo.push(() => postgres.stop());
      databaseUrl = postgres.url;
    }
    const objects = await openObjectStore(storage.location);
    undo.push(async () => objects.close());
    await objects.prepare();
    const index =
      verb === 'backup'
        ? await backup({ databaseUrl, objects, secrets: await secretsOf(dataDir) }, resolve(folder), say)
        : await restore(resolve(folder), { databaseUrl, objects, secretsDir: dataDir }, say);
    say(
      `${verb === 'backup' ? 'Backed up to' : 'Restored from'} ${resolve(folder)}: ${index.objects.count} objects, ${index.objects.bytes} bytes`,
    );
    return 0;
  } finally {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  }
}

function refuse(message: string): never {
  throw new BackupError(message);
}

try {
  process.exitCode = await main();
} catch (error) {
  const known = error instanceof BackupError || error instanceof RestoreError || error instanceof DataFolderBusyError;
  process.stderr.write(`rowsmith: ${known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}
