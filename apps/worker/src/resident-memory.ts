import { readFile } from 'node:fs/promises';

/** Resident bytes of a process, as Linux tells; null elsewhere, or when it is gone. setpriv replaces itself, so the pid is the trainer's. */
export async function residentMemory(pid: number | undefined): Promise<number | null> {
  if (pid === undefined) return null;
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) * 1024;
}
