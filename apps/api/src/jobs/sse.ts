/**
 * A job's events as a live stream (server-sent events). `id` is the event's number within its job, so a client that reconnects with
 * `Last-Event-ID` misses nothing and sees nothing twice. The table is the truth: a wake-up only says "look now", and one look a second makes up
 * for wake-ups that were lost. The stream ends with `event: done` after the last event of a finished job, or without it when the server stops.
 */
import { type EventNotifier, isFinal, type JobRecord, type JobStore } from '@rowsmith/core';
import { toEventObject } from './job-object.js';

export interface StreamTiming {
  readonly pollMs?: number;
  readonly heartbeatMs?: number;
  /** What clients should wait before they reconnect. */
  readonly retryMs?: number;
}
export interface StreamOptions extends StreamTiming {
  readonly afterSeq: number;
  readonly signal: AbortSignal;
}

const pageSize = 200;

/** Resolves on the first wake-up, after `ms`, or on abort. */
function sleeper(notifier: EventNotifier, jobId: string, signal: AbortSignal) {
  let woken = false;
  let wake = () => {
    woken = true;
  };
  const signalWake = () => wake();
  const unsubscribe = notifier.subscribe(jobId, signalWake);
  signal.addEventListener('abort', signalWake);
  return {
    async sleep(ms: number) {
      if (!woken && !signal.aborted) {
        await new Promise<void>((next) => {
          const timer = setTimeout(next, ms);
          wake = () => {
            clearTimeout(timer);
            next();
          };
        });
      }
      woken = false;
      wake = () => {
        woken = true;
      };
    },
    stop() {
      unsubscribe();
      signal.removeEventListener('abort', signalWake);
    },
  };
}

/** The frames, until the job is finished and everything was sent, or `signal` aborts. */
export async function* eventFrames(
  jobs: Pick<JobStore, 'eventsSince'>,
  notifier: EventNotifier,
  job: Pick<JobRecord, 'id' | 'projectId'>,
  readJob: () => Promise<JobRecord | null>,
  { afterSeq, signal, pollMs = 1_000, heartbeatMs = 15_000, retryMs = 1_000 }: StreamOptions,
): AsyncGenerator<string> {
  const sleeping = sleeper(notifier, job.id, signal);
  let seq = afterSeq;
  let sentAt = performance.now();
  try {
    yield `retry: ${retryMs}\n\n`;
    while (!signal.aborted) {
      // The status is read first: the final status and its event commit together, so an empty page after it means that all was sent.
      const current = await readJob();
      const events = await jobs.eventsSince(job.projectId, job.id, seq, pageSize);
      if (current === null || events === null) return;
      for (const event of events) {
        seq = event.seq;
        yield `id: ${event.seq}\ndata: ${JSON.stringify(toEventObject(event))}\n\n`;
      }
      if (events.length > 0) {
        sentAt = performance.now();
        continue;
      }
      if (isFinal(current.status)) {
        yield `event: done\ndata: ${JSON.stringify({ job: job.id, status: current.status })}\n\n`;
        return;
      }
      if (performance.now() - sentAt >= heartbeatMs) {
        sentAt = performance.now();
        yield ': heartbeat\n\n';
      }
      await sleeping.sleep(pollMs);
    }
  } finally {
    sleeping.stop();
  }
}
