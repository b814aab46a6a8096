import type { WorkerBeat, WorkerStore } from '@rowsmith/core';
import type { Logger } from '@rowsmith/telemetry';

const beatEveryMs = 5_000;

/**
 * Tells the registry that this worker lives, and how far its clock is from the database's. A beat that fails is only logged: attempts have heartbeats of
 * their own. Returns what takes the worker out of the registry.
 */
export async function register(
  workers: WorkerStore,
  self: Omit<WorkerBeat, 'skewMs'>,
  log: Logger,
  everyMs: number = beatEveryMs,
): Promise<() => Promise<void>> {
  let skewMs = 0;
  const beat = async () => {
    const began = performance.now();
    const here = Date.now();
    const there = await workers.beat({ ...self, skewMs });
    skewMs = Math.round(here + (performance.now() - began) / 2 - there);
  };
  await beat();
  let last: Promise<void> = beat();
  const timer = setInterval(() => {
    last = last.then(beat).catch((error: unknown) => log.warn({ op: 'worker.beat', err: error }));
  }, everyMs);
  last = last.catch((error: unknown) => log.warn({ op: 'worker.beat', err: error }));
  return async () => {
    clearInterval(timer);
    await last;
    await workers.leave(self.id).catch((error: unknown) => log.warn({ op: 'worker.leave', err: error }));
  };
}
