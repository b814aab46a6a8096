/**
 * Scratch space of one worker's trainers below the data folder, and the proof that no other living worker has its id. Both hang on a lock that the kernel
 * gives back whatever way its holder dies: a name in Linux' abstract socket namespace.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerId } from '@rowsmith/contracts';

export interface Scratch {
  readonly dir: string;
  release(): Promise<void>;
}

/** Two workers with one id would take each other's jobs back as those of a dead predecessor. */
export class WorkerIdInUseError extends Error {
  override readonly name = 'WorkerIdInUseError';
  readonly code = 'worker_id_in_use';
  constructor(id: WorkerId) {
    super(`a worker with the id ${id} is running already; give each its own ROWSMITH_WORKER_ID, or none`);
  }
}

// A worker that starts beside this one holds our name for the moment in which it looks whether we are dead.
const patienceMs = 2_000;

// No worker's id has this character.
const asideMark = '~';

/** Also removes what killed workers of this machine left. Throws WorkerIdInUseError, at the earliest after 2 s. */
export async function takeScratch(dataDir: string, id: WorkerId): Promise<Scratch> {
  const folder = join(dataDir, 'scratch');
  // Machines may share a data folder, not a host name; locks reach no further than the machine.
  const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 12);
  const dir = join(folder, `${host}-${id}`);
  const lock = await listenSoon(dir);
  if (lock === null) throw new WorkerIdInUseError(id);
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (!name.startsWith(`${host}-`) || path === dir) continue;
    // What was put aside belongs to nobody: it is not put aside again, which several workers would do in turn without end.
    if (name.includes(asideMark)) await rm(path, { recursive: true, force: true });
    else await removeAbandoned(path);
  }
  return {
    dir,
    async release() {
      await rm(dir, { recursive: true, force: true });
      await close(lock);
    },
  };
}

/** The name of another worker is held only while its folder is put aside: removing may take long, and the other one may be starting. */
async function removeAbandoned(dir: string): Promise<void> {
  const lock = await listen(dir);
  if (lock === null) return;
  const aside = `${dir}${asideMark}${randomUUID()}`;
  // A worker that starts at the same time may have been faster.
  const found = await rename(dir, aside).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return false;
    },
  );
  await close(lock);
  if (found) await rm(aside, { recursive: true, force: true });
}

async function listenSoon(name: string): Promise<Server | null> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const lock = await listen(name);
    if (lock !== null || performance.now() > end) return lock;
    await sleep(20);
  }
}

/** null: somebody holds the name. */
function listen(name: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)));
    server.listen(`\0rowsmith-${createHash('sha256').update(name).digest('hex')}`, () => {
      server.unref();
      resolve(server);
    });
  });
}

async function close(server: Server | null): Promise<void> {
  if (server) await new Promise<void>((closed) => server.close(() => closed()));
}
