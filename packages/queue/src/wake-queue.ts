import type { WakeConsumer, WakeHandler, WakeQueue } from '@rowsmith/core';
import { openQueue, openWorker, type QueueBackend, type WorkerTiming, waitForBackend } from './backend.js';

/** All wake-ups have one: BullMQ runs messages without a priority before all that have one. */
const priority = 100;
const probeMs = 2_000;

export const productionTiming: WorkerTiming = { lockMs: 60_000, stalledEveryMs: 30_000, drainSeconds: 5 };

export interface QueueOptions {
  /** Ends the waiting for the backend. */
  readonly signal?: AbortSignal;
  readonly onError?: (error: Error) => void;
}

/** Waits for the backend first. Messages are removed when handled, so a job that is still queued can be announced again under the same number. */
export async function createWakeQueue(backend: QueueBackend, options: QueueOptions = {}): Promise<WakeQueue> {
  await waitForBackend(backend, options.signal ?? AbortSignal.timeout(60_000));
  const queue = openQueue(backend, options.onError ?? (() => undefined));
  await queue.waitUntilReady();
  return {
    wake: (jobId, dispatchNo) =>
      queue.add(jobId, { jobId: `${jobId}-${dispatchNo}`, priority, removeOnComplete: true, removeOnFail: true }),
    async ready() {
      const answer = queue.countWaiting().then(
        () => true,
        () => false,
      );
      const silence = new Promise<false>((late) => setTimeout(() => late(false), probeMs).unref());
      return Promise.race([answer, silence]);
    },
    close: () => queue.close(),
  };
}

/** One message at a time. The handler's signal aborts when the lock was lost: somebody else may hold the job now. */
export async function createWakeConsumer(
  backend: QueueBackend,
  handle: WakeHandler,
  options: QueueOptions & { readonly timing?: WorkerTiming } = {},
): Promise<WakeConsumer> {
  await waitForBackend(backend, options.signal ?? AbortSignal.timeout(60_000));
  const running = new Map<string, AbortController>();
  const worker = openWorker(backend, options.timing ?? productionTiming, {
    async message(jobId, messageId) {
      const lost = new AbortController();
      running.set(messageId, lost);
      try {
        await handle(jobId, lost.signal);
      } finally {
        running.delete(messageId);
      }
    },
    error: options.onError ?? (() => undefined),
    locksLost(messageIds) {
      for (const id of messageIds) running.get(id)?.abort(new Error('the lock on the wake-up was lost'));
    },
  });
  await worker.waitUntilReady();
  return { close: (force = false) => worker.close(force) };
}
