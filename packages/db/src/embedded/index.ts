/** A Postgres of our own for one machine: from the npm package's binaries, on 127.0.0.1 only, password in a 0600 file. Not for production fleets. */
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { binaries } from './binaries.js';
import { endOrphans } from './orphans.js';
import { type Postmaster, runningPostmaster, stopPostmaster } from './postmaster.js';
import { commandAs, type ServerUser, serverUser } from './server-user.js';

const run = promisify(execFile);
const databaseName = 'rowsmith';
const startTimeoutMs = 60_000;

export interface EmbeddedPostgresOptions {
  /** Folder of the cluster; made if it is not there. */
  readonly dataDir: string;
  /** Used when the server must be started; a living server of the same folder is adopted with its own port. */
  readonly port: number;
  readonly log: (line: string) => void;
  /** More server settings, e.g. for tests. */
  readonly settings?: Readonly<Record<string, string>>;
}
export interface EmbeddedPostgres {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts the server of a data folder, or adopts it when it survived its owner. Throws with the server's own last lines when it does not start. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const user = serverUser();
  const password = await initialise(options.dataDir, user);
  const running = (await adoptable(options.dataDir, password)) ?? (await launch(options, user, password));
  const url = (database: string) => `postgresql://rowsmith:${password}@127.0.0.1:${running.port}/${database}`;
  await ensureDatabase(url('postgres'));
  return { url: url(databaseName), port: running.port, pid: running.pid, stop: () => stopPostmaster(running.pid) };
}

/** A server of the folder that answers. One that starts, recovers or is just dying is waited for: it answers in the end, or it is gone. */
async function adoptable(dataDir: string, password: string): Promise<Postmaster | null> {
  const deadline = performance.now() + startTimeoutMs;
  for (let found = await runningPostmaster(dataDir); found !== null; found = await runningPostmaster(dataDir)) {
    if (await answers(found.port, password)) return found;
    if (performance.now() > deadline) {
      throw new Error(`process ${found.pid} serves ${dataDir} but does not answer on port ${found.port}: stop it, then start again`);
    }
    await new Promise((next) => setTimeout(next, 25));
  }
  return null;
}

/** initdb into a folder beside, renamed when whole: a kill in the middle leaves nothing that is taken for a cluster. Returns the password. */
async function initialise(dataDir: string, user: ServerUser | null): Promise<string> {
  const passwordFile = `${dataDir}.password`;
  if (await stat(join(dataDir, 'PG_VERSION')).catch(() => null)) return (await readFile(passwordFile, 'utf8')).trim();
  await mkdir(dirname(dataDir), { recursive: true });
  const password = randomBytes(24).toString('hex');
  const stage = `${dataDir}.stage-${randomBytes(4).toString('hex')}`;
  const handed = `${stage}.password`;
  try {
    await mkdir(stage, { mode: 0o700 });
    await writeFile(handed, password, { mode: 0o600 });
    if (user) await Promise.all([stage, handed].map((path) => chown(path, user.uid, user.gid)));
    const args = [
      '-D',
      stage,
      '-U',
      'rowsmith',
      '-A',
      'scram-sha-256',
      '--pwfile',
      handed,
      '--encoding=UTF8',
      '--locale=C',
      '--no-instructions',
    ];
    const [command, all] = commandAs(user, binaries().initdb, args);
    await run(command, all);
    await writeFile(passwordFile, password, { mode: 0o600 });
    await rename(stage, dataDir);
    return password;
  } finally {
    await Promise.all([stage, handed].map((path) => rm(path, { recursive: true, force: true })));
  }
}

async function launch(
  { dataDir, port, log, settings }: EmbeddedPostgresOptions,
  user: ServerUser | null,
  password: string,
): Promise<{ pid: number; port: number }> {
  await endOrphans(dataDir);
  const all = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    max_connections: '60',
    shared_buffers: '64MB',
    ...settings,
  };
  const args = ['-D', dataDir, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const [command, commandArgs] = commandAs(user, binaries().postgres, args);
  // A group of its own: Ctrl-C in the terminal must not stop it before the services that use it.
  const child = spawn(command, [...commandArgs], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n').filter((l) => l !== '')) {
        log(line);
        last.push(line);
        if (last.length > 20) last.shift();
      }
    });
  let ended: string | null = null;
  child.once('error', (error) => {
    ended = error.message;
  });
  child.once('exit', (code, signal) => {
    ended ??= `it ended with ${signal ?? code}`;
  });
  const deadline = performance.now() + startTimeoutMs;
  while (!(await answers(port, password))) {
    if (ended !== null || performance.now() > deadline) {
      child.kill('SIGQUIT');
      throw new Error(`the embedded Postgres did not start (${ended ?? 'no answer in time'}):\n${last.join('\n')}`);
    }
    await new Promise((next) => setTimeout(next, 25));
  }
  child.unref();
  return { pid: child.pid ?? 0, port };
}

async function answers(port: number, password: string): Promise<boolean> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: 'rowsmith',
    password,
    database: 'postgres',
    connectionTimeoutMillis: 2_000,
  });
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function ensureDatabase(adminUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [databaseName]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${databaseName}`);
  } finally {
    await client.end();
  }
}
