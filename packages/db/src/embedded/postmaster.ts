/** Is a server already running on a data folder? postmaster.pid names its process and port; a pid alone may have been reused, so its command line is looked at. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Postmaster {
  readonly pid: number;
  readonly port: number;
}

export async function runningPostmaster(dataDir: string): Promise<Postmaster | null> {
  const lines = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').then(
    (text) => text.split('\n'),
    () => [],
  );
  const pid = Number(lines[0]);
  const port = Number(lines[3]);
  if (!Number.isInteger(pid) || pid <= 0 || !Number.isInteger(port)) return null;
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return command.includes('postgres') && command.includes(dataDir) ? { pid, port } : null;
}

const alive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

/** Fast shutdown (SIGINT: connections are closed, nothing is lost), SIGQUIT after `graceMs`. */
export async function stopPostmaster(pid: number, graceMs = 15_000): Promise<void> {
  const deadline = performance.now() + graceMs;
  let forced = false;
  for (let signal: NodeJS.Signals | null = 'SIGINT'; alive(pid); ) {
    if (signal) process.kill(pid, signal);
    signal = null;
    await new Promise((next) => setTimeout(next, 25));
    if (!forced && performance.now() > deadline) {
      signal = 'SIGQUIT';
      forced = true;
    }
  }
}
