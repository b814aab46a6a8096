import type { WakeQueue } from '@rowsmith/core';
import { type OpenQueue, openQueue, type QueueBackend, queueName, untilReady } from './backend.js';
import { removeFutureSweeps } from './clock.js';

/** BullMQ's runs from 1, the first; messages without one run before all that have one, so every message has one. */
const messagePriority = (priority: number): number => 101 - Math.min(100, Math.max(0, Math.round(priority)));
const usualPriority = 50;
const probeMs = 2_000;

export interface QueueOptions {
  /** Ends the waiting for the backend. */
  readonly signal?: AbortSignal;
  readonly onError?: (error: Error) => void;
}
export interface WakeQueueOptions extends QueueOptions {
  /** Whose workers are woken when nobody says. */
  readonly defaultDeviceClass?: string;
}

/** Waits for the backend first. Messages are removed when handled, so a job that is still queued can be announced again under the same number. */
export async function createWakeQueue(backend: QueueBackend, options: WakeQueueOptions = {}): Promise<WakeQueue> {
  const { defaultDeviceClass = 'cpu', onError = () => undefined } = options;
  const open = new Map<string, Promise<OpenQueue>>();
  const queueOf = (deviceClass: string, signal: AbortSignal): Promise<OpenQueue> => {
    const known = open.get(deviceClass);
    if (known !== undefined) return known;
    const opening = untilReady(
      ...([backend, signal] as const),
      () => openQueue(backend, queueName(deviceClass), onError),
      (queue) => queue.close(),
    );
    open.set(deviceClass, opening);
    // One that never became ready never will: the next call begins anew.
    opening.catch(() => open.delete(deviceClass));
    return opening;
  };
  await queueOf(defaultDeviceClass, options.signal ?? AbortSignal.timeout(60_000));
  const soon = () => AbortSignal.timeout(probeMs);
  return {
    async wake(jobId, dispatchNo, { deviceClasses = [], priority = usualPriority } = {}) {
      for (const deviceClass of deviceClasses.length > 0 ? deviceClasses : [defaultDeviceClass]) {
        const queue = await queueOf(deviceClass, soon());
        await queue.add(jobId, {
          ...{ jobId: `${jobId}-${dispatchNo}`, priority: messagePriority(priority) },
          ...{ removeOnComplete: true, removeOnFail: true },
        });
      }
    },
    repair: () => removeFutureSweeps(backend),
    async ready() {
      const answer = queueOf(defaultDeviceClass, soon())
        .then((queue) => queue.countWaiting())
        .then(
          () => true,
          () => false,
        );
      const silence = new Promise<false>((late) => setTimeout(() => late(false), probeMs).unref());
      return Promise.race([answer, silence]);
    },
    async close() {
      for (const queue of await Promise.allSettled(open.values())) if (queue.status === 'fulfilled') await queue.value.close();
    },
  };
}
