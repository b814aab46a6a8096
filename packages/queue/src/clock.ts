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

/** This machine's clock less the server's, in milliseconds; half of the answer's time uncertain. */
export async function clockSkew(backend: QueueBackend, clock: () => number): Promise<number> {
  const began = performance.now();
  const here = clock();
  const there = 'redisUrl' in backend ? await redisTime(backend.redisUrl) : await postgresTime(backend.databaseUrl);
  return here + (performance.now() - began) / 2 - there;
}

async function redisTime(url: string): Promise<number> {
  const client = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 1, retryStrategy: () => null });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const [seconds, micros] = await client.time();
    return Number(seconds) * 1_000 + Number(micros) / 1_000;
  } finally {
    client.disconnect();
  }
}

async function postgresTime(url: string): Promise<number> {
  const { rows } = await query<{ now: number }>(url, 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now');
  if (!rows[0]) throw new Error('the database did not tell its time');
  return rows[0].now;
}

/**
 * Takes away marks that lie more than a minute in the future by the server's clock: while one is there no worker looks for messages of the dead.
 * Returns how many; Redis keeps them by its own clock.
 */
export async function removeFutureSweeps(backend: QueueBackend): Promise<number> {
  if ('redisUrl' in backend) return 0;
  const { rowCount } = await query(
    backend.databaseUrl,
    `DELETE FROM bullmq.meta WHERE field = 'stalled-check' AND value ~ '^[0-9]+$' AND value::numeric > extract(epoch FROM clock_timestamp()) * 1000 + 60000`,
  );
  return rowCount ?? 0;
}

async function query<Row extends pg.QueryResultRow>(connectionString: string, text: string): Promise<pg.QueryResult<Row>> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 5_000, query_timeout: 10_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await client.query<Row>(text);
  } finally {
    await client.end().catch(() => undefined);
  }
}
