/** One fault: the blow, and the promise that its end has come. */
import { open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Installation, KeptWorker } from './installation.js';
import type { HeldJob } from './ledger.js';
import type { Fault, WayName } from './plan.js';
import { seeded } from './seeded.js';
import type { PartName } from './surroundings.js';

export interface Injected {
  /** What was hit, for the log. */
  readonly what: Readonly<Record<string, unknown>>;
  /** Resolves when what was broken is whole again. */
  readonly healed: Promise<void>;
}

const wait = (ms: number) => new Promise<void>((over) => setTimeout(over, ms));
const nothing = Promise.resolve();
/** Of one hour ago or ahead: far beyond what the service takes for a clock. */
const clockJumps = ['+600', '-600', '+3600'] as const;

/** null: there was nothing to hit. `victim`: the job whose worker is meant, and that worker. */
export async function inject(
  fault: Fault,
  installation: Installation,
  victim: { readonly worker: KeptWorker; readonly job: HeldJob } | null,
): Promise<Injected | null> {
  const { api, surroundings, ways, dataDir, ledger, objects } = installation;
  const draws = seeded('inject', fault.seed, fault.lane, fault.index);
  const [verb, noun] = fault.kind.split('.') as [string, string];
  const worker = victim?.worker.process;
  switch (fault.kind) {
    case 'kill.api':
      return api.hit('SIGKILL') ? { what: {}, healed: nothing } : null;
    case 'stop.api': {
      const pid = api.pid;
      if (!api.hit('SIGSTOP')) return null;
      return { what: { pid }, healed: wait(fault.holdMs).then(() => void signal(pid, 'SIGCONT')) };
    }
    case 'kill.worker':
    case 'term.worker': {
      const pid = worker?.pid;
      return worker?.hit(verb === 'kill' ? 'SIGKILL' : 'SIGTERM') ? { what: { pid, job: victim?.job.id }, healed: nothing } : null;
    }
    case 'kill.trainer':
    case 'stop.trainer':
    case 'flip.checkpoint': {
      if (victim === null) return null;
      const what: Record<string, unknown> = { job: victim.job.id };
      if (verb === 'flip') {
        const key = await ledger.newestCheckpoint(victim.job.id);
        if (key === null) return null;
        const damaged = key.replace(/[^/]+$/, draws.pick(['manifest.json', 'optimizer.safetensors', 'rows.safetensors']));
        const bytes = Buffer.from((await untilWhole(() => objects.getBytes(damaged))) ?? []);
        // Removed meanwhile: it was not the newest any more.
        if (bytes.byteLength === 0) return null;
        const at = fault.target % bytes.byteLength;
        bytes[at] = (bytes[at] ?? 0) ^ (1 << draws.between(0, 7));
        await untilWhole(() => objects.put(damaged, bytes));
        Object.assign(what, { damaged, byte: at });
      }
      const pid = await installation.trainerOf(victim.worker);
      if (pid === null) return null;
      what['pid'] = pid;
      if (verb !== 'stop') return signal(pid, 'SIGKILL') ? { what, healed: nothing } : null;
      if (!signal(pid, 'SIGSTOP')) return null;
      return { what, healed: wait(fault.holdMs).then(() => void signal(pid, 'SIGCONT')) };
    }
    case 'zombie.worker':
    case 'zombie.worker-and-trainer': {
      if (victim === null || !worker?.pid) return null;
      const pids = [worker.pid, ...(noun === 'worker' ? [] : [await installation.trainerOf(victim.worker)])].filter((pid) => pid !== null);
      if (!pids.every((pid) => signal(pid, 'SIGSTOP'))) return null;
      const wake = async () => {
        await wait(fault.holdMs);
        for (const pid of pids.reverse()) signal(pid, 'SIGCONT');
      };
      return { what: { pids, job: victim.job.id }, healed: wake() };
    }
    case 'kill.postgres':
    case 'kill.redis':
    case 'kill.s3':
      return { what: { downMs: fault.holdMs }, healed: surroundings.parts[noun as PartName]?.bounce(fault.holdMs) ?? nothing };
    case 'cut.postgres':
    case 'cut.redis':
    case 'cut.s3':
    case 'cut.api':
      return { what: { connections: ways[noun as WayName]?.cutAll() }, healed: nothing };
    case 'shut.postgres':
    case 'shut.redis':
    case 'shut.s3':
    case 'shut.api': {
      const way = ways[noun as WayName];
      way?.refuse(true);
      return { what: { connections: way?.cutAll() }, healed: wait(fault.holdMs).then(() => way?.refuse(false)) };
    }
    case 'delay.postgres':
    case 'delay.redis':
    case 'delay.s3':
    case 'delay.api': {
      const ms = draws.between(20, 200);
      ways[noun as WayName]?.delay(ms);
      return { what: { ms }, healed: wait(fault.holdMs).then(() => ways[noun as WayName]?.delay(0)) };
    }
    case 'silence.postgres':
    case 'silence.redis':
    case 'silence.s3':
    case 'silence.api':
      ways[noun as WayName]?.silence(true);
      return { what: {}, healed: wait(fault.holdMs).then(() => ways[noun as WayName]?.silence(false)) };
    case 'refuse.s3': {
      surroundings.refusing?.refuse(0.3, () => draws.number());
      return { what: { share: 0.3 }, healed: wait(fault.holdMs).then(() => surroundings.refusing?.refuse(0, () => 1)) };
    }
    case 'fill.disk': {
      const path = join(dataDir, 'filler');
      const bytes = await fill(path);
      return { what: { bytes }, healed: wait(fault.holdMs).then(() => rm(path, { force: true })) };
    }
    case 'wipe.queue':
      await (surroundings.parts.redis ? untilWhole(() => surroundings.flushRedis()) : ledger.wipeQueue());
      return { what: {}, healed: nothing };
    case 'clock.worker': {
      const file = victim?.worker.clockFile;
      if (!file) return null;
      const jump = draws.pick(clockJumps);
      await writeFile(file, jump);
      return { what: { jump, worker: victim?.worker.id }, healed: wait(fault.holdMs).then(() => writeFile(file, '+0')) };
    }
  }
}

/** Tries again for a while: the store may be away by another fault, or the disk full. */
async function untilWhole<T>(work: () => Promise<T>): Promise<T> {
  for (const deadline = performance.now() + 30_000; ; await wait(100)) {
    try {
      return await work();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

/** Whether there was such a process. */
function signal(pid: number | null, name: NodeJS.Signals): boolean {
  try {
    return pid !== null && process.kill(pid, name);
  } catch {
    return false;
  }
}

/** To the last byte. Returns how many there were. */
async function fill(path: string): Promise<number> {
  const file = await open(path, 'w');
  let bytes = 0;
  try {
    for (let size = 1 << 20; size >= 512; ) {
      try {
        bytes += (await file.write(Buffer.alloc(size))).bytesWritten;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        size >>= 1;
      }
    }
  } finally {
    await file.close();
  }
  return bytes;
}
