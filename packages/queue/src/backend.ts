/** One choice, in one place: Redis when there is a URL for it, else the Postgres that holds the jobs anyway. */
import { setTimeout } from 'node:timers/promises';
import { createPostgresBackend, PostgresConnection, Queue, Worker, withBackend } from 'bullmq';
import { Redis } from 'ioredis';

export type QueueBackend = { readonly redisUrl: string } | { readonly databaseUrl: string };

/** One queue per device class: BullMQ cannot choose among messages, so matching is done before one is added. */
export const queueName = (deviceClass: string): string => `train.${deviceClass}`;
/** Connections of a process to Postgres: BullMQ's own pool, beside the one of the tables. */
const poolSize = 4;
const retryMs = 200;
const postgres = withBackend(createPostgresBackend);

interface Wake {
  readonly runId: string;
}
interface AddOptions {
  readonly jobId: string;
  readonly priority: number;
  readonly removeOnComplete: true;
  readonly removeOnFail: true;
}

/** BullMQ needs `maxRetriesPerRequest: null` for blocking reads, and waits for a lost server by itself. */
const redisConnection = (url: string) => new Redis(url, { maxRetriesPerRequest: null });

/** The members of BullMQ's Queue that both backends share and we use; its own types differ by backend. */
export interface OpenQueue {
  add(runId: string, options: AddOptions): Promise<void>;
  countWaiting(): Promise<number>;
  waitUntilReady(): Promise<void>;
  close(): Promise<void>;
}

export function openQueue(backend: QueueBackend, name: string, onError: (error: Error) => void): OpenQueue {
  const redis = 'redisUrl' in backend ? redisConnection(backend.redisUrl) : null;
  const queue =
    'redisUrl' in backend
      ? new Queue<Wake>(name, { connection: redis as Redis })
      : new postgres.Queue<Wake>(name, { connection: { connectionString: backend.databaseUrl, max: poolSize } });
  queue.on('error', onError);
  return {
    add: async (runId, options) => {
      await queue.add('wake', { runId }, options);
    },
    countWaiting: () => queue.getJobCountByTypes('waiting', 'prioritized'),
    waitUntilReady: async () => {
      await queue.waitUntilReady();
    },
    close: async () => {
      await queue.close();
      redis?.disconnect();
    },
  };
}

export interface WorkerTiming {
  /** A supervisor that is silent for this long loses its message. */
  readonly lockMs: number;
  readonly stalledEveryMs: number;
  /** How long an idle worker waits before it looks by itself. */
  readonly drainSeconds: number;
  /** Between two looks at the server's clock. */
  readonly clockEveryMs: number;
}
export interface WorkerHandlers {
  readonly message: (runId: string, messageId: string) => Promise<void>;
  readonly error: (error: Error) => void;
  readonly locksLost: (messageIds: readonly string[]) => void;
}
export interface OpenWorker {
  waitUntilReady(): Promise<void>;
  /** Takes no more messages; the one in hand goes on. */
  pause(): Promise<void>;
  resume(): void;
  close(force: boolean): Promise<void>;
}

export function openWorker(backend: QueueBackend, name: string, timing: WorkerTiming, handlers: WorkerHandlers): OpenWorker {
  const options = {
    concurrency: 1,
    lockDuration: timing.lockMs,
    stalledInterval: timing.stalledEveryMs,
    // The tables decide when a job has failed for good, not the number of lost workers.
    maxStalledCount: 1000,
    drainDelay: timing.drainSeconds,
  };
  const process = (message: { readonly id?: string | undefined; readonly data: Wake }) =>
    handlers.message(message.data.runId, message.id ?? '');
  const redis = 'redisUrl' in backend ? redisConnection(backend.redisUrl) : null;
  const worker =
    'redisUrl' in backend
      ? new Worker<Wake>(name, process, { ...options, connection: redis as Redis })
      : new postgres.Worker<Wake>(name, process, { ...options, connection: { connectionString: backend.databaseUrl, max: poolSize } });
  worker.on('error', handlers.error);
  worker.on('lockRenewalFailed', handlers.locksLost);
  return {
    waitUntilReady: async () => {
      await worker.waitUntilReady();
    },
    pause: () => worker.pause(true),
    resume: () => worker.resume(),
    close: async (force) => {
      await worker.close(force);
      redis?.disconnect();
    },
  };
}

/** BullMQ's own schema, once in the deploy step; workers and queues connect without migrating. */
export async function migrateQueue({ databaseUrl }: { readonly databaseUrl: string }): Promise<void> {
  const connection = new PostgresConnection({ connectionString: databaseUrl, max: 1, migrate: true });
  try {
    await connection.waitUntilReady();
  } finally {
    await connection.close();
  }
}

/** Nobody answered in the time that was given; `cause` is the last attempt's failure (no server, wrong password, schema not migrated). */
export class QueueUnavailableError extends Error {
  override readonly name = 'QueueUnavailableError';
  readonly code = 'queue_unavailable';
}

/** Resolves when the backend answers; rejects with QueueUnavailableError when `signal` ends first. BullMQ never recovers on Postgres when the server was down at construction, so this comes first. */
export async function waitForBackend(backend: QueueBackend, signal: AbortSignal, everyMs = 500): Promise<void> {
  let last: unknown = signal.reason;
  while (!signal.aborted) {
    try {
      if ('redisUrl' in backend) {
        const probe = new Redis(backend.redisUrl, { lazyConnect: true, maxRetriesPerRequest: 1, retryStrategy: () => null });
        probe.on('error', () => undefined);
        try {
          await probe.connect();
          await probe.ping();
        } finally {
          probe.disconnect();
        }
      } else {
        const probe = new PostgresConnection({ connectionString: backend.databaseUrl, max: 1 });
        probe.on('error', () => undefined);
        await probe.waitUntilReady().finally(() => probe.close());
      }
      return;
    } catch (error) {
      last = error;
      await setTimeout(everyMs, undefined, { signal }).catch(() => undefined);
    }
  }
  const kind = 'redisUrl' in backend ? 'Redis' : 'Postgres';
  throw new QueueUnavailableError(
    `the queue on ${kind} did not answer: ${last instanceof Error ? last.message || last.name : String(last)}`,
    {
      cause: last,
    },
  );
}

interface Readied {
  waitUntilReady(): Promise<void>;
}

/**
 * What `make` makes, once it is ready; made anew when the server went away between our look and its own: what BullMQ made then stays useless on Postgres, and a
 * process that starts in that moment must not end for it. Rejects when `signal` ends first.
 */
export async function untilReady<T extends Readied>(
  backend: QueueBackend,
  signal: AbortSignal,
  make: () => T,
  discard: (made: T) => Promise<void>,
): Promise<T> {
  for (;;) {
    await waitForBackend(backend, signal);
    const made = make();
    try {
      await made.waitUntilReady();
      return made;
    } catch (error) {
      await discard(made).catch(() => undefined);
      if (signal.aborted) throw error;
      await setTimeout(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
