/**
 * A postmaster that was killed (-9, out of memory) leaves its children behind; one in the middle of a long query notices only at its end, and until
 * then holds the shared memory, so that no new server may start on the folder. Linux only: elsewhere the new server says what is in its way.
 */
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { join } from 'node:path';

const patienceMs = 15_000;

interface Server {
  readonly pid: number;
  readonly parent: number;
  /** A child shows its role as `postgres: <role>`; a postmaster shows its command line. */
  readonly child: boolean;
}

/** Postgres processes that work in the data folder. Those of other users that we may not look at are not seen. */
async function serversIn(folder: string): Promise<Server[]> {
  const names = await readdir('/proc').catch(() => []);
  const found = await Promise.all(
    names
      .filter((name) => /^\d+$/.test(name))
      .map(async (name): Promise<Server | null> => {
        try {
          if ((await readlink(join('/proc', name, 'cwd'))) !== folder) return null;
          const [command, status] = await Promise.all(['cmdline', 'status'].map((file) => readFile(join('/proc', name, file), 'utf8')));
          const parent = Number(/^PPid:\s*(\d+)/m.exec(status ?? '')?.[1]);
          return { pid: Number(name), parent, child: (command ?? '').startsWith('postgres: ') };
        } catch {
          return null;
        }
      }),
  );
  return found.filter((server) => server !== null);
}

/** Ends children whose postmaster is gone and waits until they are. A living postmaster and its children are left alone. */
export async function endOrphans(dataDir: string): Promise<void> {
  const folder = await realpath(dataDir);
  const asked = new Set<number>();
  // One that cannot be ended is named by the new server, which then refuses to start.
  for (const deadline = performance.now() + patienceMs; performance.now() < deadline; ) {
    const servers = await serversIn(folder);
    const parents = new Set(servers.filter((server) => !server.child).map((server) => server.pid));
    const orphans = servers.filter((server) => server.child && !parents.has(server.parent));
    if (orphans.length === 0) return;
    for (const { pid } of orphans.filter((orphan) => !asked.has(orphan.pid))) {
      asked.add(pid);
      try {
        // SIGQUIT: at once. What was acknowledged is in the log that the next server recovers from.
        process.kill(pid, 'SIGQUIT');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    await new Promise((next) => setTimeout(next, 10));
  }
}
