import { setTimeout } from 'node:timers/promises';
import type { WakeConsumer, WakeHandler } from '@rowsmith/core';
import {
  type OpenWorker,
  openWorker,
  type QueueBackend,
  queueName,
  untilReady,
  type WorkerHandlers,
  type WorkerTiming,
  waitForBackend,
} from './backend.js';
import { ClockSkewError, clockSkew, endSkewMs, refuseSkewMs } from './clock.js';
import type { QueueOptions } from './wake-queue.js';

export const productionTiming: WorkerTiming = { lockMs: 60_000, stalledEveryMs: 30_000, drainSeconds: 5, clockEveryMs: 5_000 };

/** For the queue's own closing, once nothing is in hand. */
const closePatienceMs = 5_000;

export interface WakeConsumerOptions extends QueueOptions {
  readonly timing?: WorkerTiming;
  readonly deviceClass?: string;
  /** What BullMQ reads: this machine's time in milliseconds. */
  readonly clock?: () => number;
  /** The consumer has ended because its clock is wrong; messages in hand were aborted. The process should end. */
  readonly onSkew?: (error: ClockSkewError) => void;
}

/**
 * One message at a time. The handler's signal aborts when the lock was lost: somebody else may hold the job now. Throws ClockSkewError when this
 * machine's clock is wrong by more than two seconds.
 */
export async function createWakeConsumer(
  backend: QueueBackend,
  handle: WakeHandler,
  options: WakeConsumerOptions = {},
): Promise<WakeConsumer> {
  const { timing = productionTiming, clock = Date.now, onError = () => undefined } = options;
  const signal = options.signal ?? AbortSignal.timeout(60_000);
  const skewMs = await firstSkew(backend, clock, signal);
  if (Math.abs(skewMs) > refuseSkewMs) throw new ClockSkewError(skewMs);
  const running = new Map<string, AbortController>();
  const inHand = new Set<Promise<void>>();
  const watch: { refused: number | null } = { refused: null };
  const handlers: WorkerHandlers = {
    async message(jobId, messageId) {
      // A fetch that was waiting when the worker paused still brings one. It is announced again, like whatever fails.
      if (watch.refused !== null) throw new ClockSkewError(watch.refused);
      const lost = new AbortController();
      running.set(messageId, lost);
      const handled = handle(jobId, lost.signal);
      const ended = handled.then(
        () => undefined,
        () => undefined,
      );
      inHand.add(ended);
      try {
        await handled;
      } finally {
        running.delete(messageId);
        inHand.delete(ended);
      }
    },
    error: onError,
    locksLost(messageIds) {
      for (const id of messageIds) running.get(id)?.abort(new Error('the lock on the wake-up was lost'));
    },
  };
  const worker = await untilReady(
    ...([backend, signal] as const),
    () => openWorker(backend, queueName(options.deviceClass ?? 'cpu'), timing, handlers),
    (made) => made.close(true),
  );
  const stopWatching = watchClock(
    worker,
    watch,
    () => clockSkew(backend, clock),
    timing.clockEveryMs,
    (error) => {
      for (const message of running.values()) message.abort(error);
      options.onSkew?.(error);
    },
  );
  return {
    async close(force = false) {
      stopWatching();
      const closed = worker.close(force);
      // What is in hand ends in its own time. After it only the queue's bookkeeping is left, which waits without end for a server that is away or has
      // lost its messages: the tables know already, and a process that is told to stop must stop.
      if (!force) await Promise.all(inHand);
      const patience = new AbortController();
      await Promise.race([closed, setTimeout(closePatienceMs, undefined, { signal: patience.signal }).catch(() => undefined)]).finally(() =>
        patience.abort(),
      );
      closed.catch(() => undefined);
    },
  };
}

/** The server may go away between two questions. */
async function firstSkew(backend: QueueBackend, clock: () => number, signal: AbortSignal): Promise<number> {
  for (;;) {
    await waitForBackend(backend, signal);
    try {
      return await clockSkew(backend, clock);
    } catch (error) {
      if (signal.aborted) throw error;
    }
  }
}

/** Takes no messages while the clock is off, and ends the worker when it is far off. A server that does not answer tells nothing. */
function watchClock(
  worker: OpenWorker,
  watch: { refused: number | null },
  skew: () => Promise<number>,
  everyMs: number,
  end: (error: ClockSkewError) => void,
): () => void {
  let busy = false;
  const look = async () => {
    const skewMs = await skew();
    const paused = watch.refused !== null;
    watch.refused = Math.abs(skewMs) > refuseSkewMs ? skewMs : null;
    if (Math.abs(skewMs) > endSkewMs) {
      clearInterval(timer);
      await worker.close(true);
      end(new ClockSkewError(skewMs));
    } else if (watch.refused !== null && !paused) await worker.pause();
    else if (watch.refused === null && paused) worker.resume();
  };
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    look()
      .catch(() => undefined)
      .finally(() => {
        busy = false;
      });
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
