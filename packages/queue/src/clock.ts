/**
 * On Postgres BullMQ writes the ends of locks and of its sweeps by the clock of the worker. A clock that is ahead takes live messages from others, and
 * keeps everybody from the sweep until that time has come. So every consumer compares its clock with the server's.
 */
import { Redis } from 'ioredis';
import pg from 'pg';
import type { QueueBackend } from './backend.js';

/** Above it no message is taken. */
export const refuseSkewMs = 2_000;
/** Above it the consumer ends: what it renews would be wrong as well. */
export const endSkewMs = 5_000;

export class ClockSkewError extends Error {
  override readonly name = 'ClockSkewError';
  readonly code = 'clock_skew';
  constructor(readonly skewMs: number) {
    const seconds = Math.abs(skewMs) / 1_000;
    super(
      `the clock of this machine is ${seconds.toFixed(1)} s ${skewMs > 0 ? 'ahead of' : 'behind'} the queue's: set it right (NTP), then start again`,
    );
  }
}

/**
 * This machine's clock less the server's, in milliseconds, as far as it is proved: the server told its time at some moment between question and answer, and an
 * answer that took long (a slow network, a process that was stopped) proves little. 0: nothing is proved wrong.
 */
export async function clockSkew(backend: QueueBackend, clock: () => number): Promise<number> {
  const { here, there, tookMs } = await ('redisUrl' in backend
    ? redisTime(backend.redisUrl, clock)
    : postgresTime(backend.databaseUrl, clock));
  // The true skew lies between these two.
  const [least, most] = [here - there, here + tookMs - there];
  return Math.max(least, Math.min(most, 0));
}

interface Told {
  /** This machine's clock when the question was asked. */
  readonly here: number;
  readonly there: number;
  /** From question to answer. */
  readonly tookMs: number;
}

/** On a connection that stands already: making one may take longer than any answer. */
async function told(clock: () => number, ask: () => Promise<number>): Promise<Told> {
  const here = clock();
  const began = performance.now();
  const there = await ask();
  return { here, there, tookMs: performance.now() - began };
}

async function redisTime(url: string, clock: () => number): Promise<Told> {
  const client = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 1, retryStrategy: () => null });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await told(clock, async () => {
      const [seconds, micros] = await client.time();
      return Number(seconds) * 1_000 + Number(micros) / 1_000;
    });
  } finally {
    client.disconnect();
  }
}

function postgresTime(url: string, clock: () => number): Promise<Told> {
  return connected(url, (client) =>
    told(clock, async () => {
      const { rows } = await client.query<{ now: number }>('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now');
      if (!rows[0]) throw new Error('the database did not tell its time');
      return rows[0].now;
    }),
  );
}

/**
 * Takes away marks that lie more than a minute in the future by the server's clock: while one is there no worker looks for messages of the dead.
 * Returns how many; Redis keeps them by its own clock.
 */
export async function removeFutureSweeps(backend: QueueBackend): Promise<number> {
  if ('redisUrl' in backend) return 0;
  const { rowCount } = await connected(backend.databaseUrl, (client) =>
    client.query(
      `DELETE FROM bullmq.meta WHERE field = 'stalled-check' AND value ~ '^[0-9]+$' AND value::numeric > extract(epoch FROM clock_timestamp()) * 1000 + 60000`,
    ),
  );
  return rowCount ?? 0;
}

async function connected<T>(connectionString: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 5_000, query_timeout: 10_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await use(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}
