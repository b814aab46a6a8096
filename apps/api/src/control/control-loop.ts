/**
 * The control plane's loop. The tables decide and the queue only wakes workers, so whatever a crash or a wiped queue has lost is put back here:
 * queued jobs are let go as there are places, and announced (again), silent attempts are taken from their workers, and result files that nobody asked for yet are made.
 * Every API process runs it; a database lock lets one of them lead at a time.
 */
import type { DispatchStore, WakeQueue } from '@rowsmith/core';
import { FirstWakes } from './first-wakes.js';
import { makeResultFile, type ResultFileDeps } from './result-file.js';
import { type Rounds, startRounds } from './rounds.js';

export interface ControlLog {
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
}
export interface ControlDeps extends Omit<ResultFileDeps, 'dispatch'> {
  readonly dispatch: DispatchStore;
  readonly queue: WakeQueue;
  /** Takes away what is over (`sweep`). */
  readonly tidy: (batch: number) => Promise<void>;
  readonly log: ControlLog;
}
export interface ControlOptions {
  readonly everyMs?: number;
  /** Silence after which an attempt counts as lost. Workers beat every 2 s. */
  readonly staleMs?: number;
  readonly batch?: number;
}

/** Workers beat every 5 s. */
export const workerSilenceMs = 30_000;

/** One round; each part is tried even if another failed. */
export async function controlRound(
  deps: ControlDeps,
  { staleMs = 30_000, batch = 100 }: ControlOptions = {},
  firstWakes: FirstWakes = new FirstWakes(),
): Promise<void> {
  const part = async (name: string, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      deps.log.warn({ err: error, part: name }, 'control round: part failed, tried again next round');
    }
  };
  await part('requeue lost attempts', async () => {
    const requeued = await deps.dispatch.requeueLost(staleMs);
    if (requeued > 0) deps.log.info({ requeued }, 'attempts without heartbeat were put back into the queue');
  });
  await part('result files', async () => {
    for (const job of await deps.dispatch.withoutResultFile(batch)) await makeResultFile(deps, job);
  });
  await part('tidy', () => deps.tidy(batch));
  await part('release jobs', async () => {
    const { released, preempted } = await deps.dispatch.release(workerSilenceMs);
    if (preempted > 0) deps.log.info({ released, preempted }, 'jobs of higher priority wait: attempts were asked to make room');
  });
  await part('repair the queue', async () => {
    const repaired = await deps.queue.repair();
    if (repaired > 0) deps.log.warn({ repaired }, 'marks of a clock that was ahead were taken out of the queue');
  });
  // Last: a queue that does not answer may take its time to say so.
  await part('wake workers', async () => {
    await firstWakes.announce(await deps.dispatch.waiting(batch), ({ jobId, dispatchNo, deviceClasses, priority }) =>
      deps.queue.wake(jobId, dispatchNo, { deviceClasses, priority }),
    );
  });
}

export function startControlLoop(deps: ControlDeps, options: ControlOptions = {}): Rounds {
  const firstWakes = new FirstWakes();
  return startRounds(async () => {
    await deps.dispatch
      .asLeader(() => controlRound(deps, options, firstWakes))
      .catch((error: unknown) => deps.log.warn({ err: error }, 'control round failed'));
    return 'enough';
  }, options.everyMs ?? 2_000);
}
