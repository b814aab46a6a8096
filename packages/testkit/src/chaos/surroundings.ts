/** What a service leans on, each behind a proxy that can break the way to it, each killed and started again over what it had. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { migrateDatabase } from '@rowsmith/db';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@rowsmith/db/embedded';
import { migrateQueue } from '@rowsmith/queue';
import { type FaultProxy, startFaultProxy } from '../fault-proxy.js';
import { freePort } from '../postgres.js';
import { startRedis } from '../redis.js';
import { type RefusingHttp, startRefusingHttp } from '../refusing-http.js';
import { startS3 } from '../s3.js';
import type { ChaosSurroundings } from './plan.js';

export type PartName = 'postgres' | 'redis' | 's3';

/** One server and the way to it. */
export interface Part {
  readonly proxy: FaultProxy;
  /** kill -9, and back after `downMs` over the same data (Redis: empty). */
  bounce(downMs: number): Promise<void>;
}

export interface OpenSurroundings {
  readonly parts: Readonly<Partial<Record<PartName, Part>>>;
  /** Past the proxies: for the judge. */
  readonly databaseUrl: string;
  readonly s3Direct: string | null;
  readonly refusing: RefusingHttp | null;
  /** For the service: past the proxies nothing is known to it. */
  readonly env: Readonly<Record<string, string>>;
  flushRedis(): Promise<void>;
  stop(): Promise<void>;
}

const wait = (ms: number) => new Promise((over) => setTimeout(over, ms));
export const bucket = { bucket: 'chaos', prefix: 'here', region: 'us-east-1' } as const;

export async function openSurroundings(folder: string, { queue, storage }: ChaosSurroundings): Promise<OpenSurroundings> {
  const undo: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    const parts: Partial<Record<PartName, Part>> = {};
    const env: Record<string, string> = {};

    const port = await freePort();
    await mkdir(join(folder, 'postgres'), { recursive: true });
    const startPostgres = (): Promise<EmbeddedPostgres> =>
      startEmbeddedPostgres({
        ...{ dataDir: join(folder, 'postgres', 'data'), port, log: () => undefined },
        // Without fsync a power cut would cost data; a killed process does not: what it wrote is the kernel's. synchronous_commit stays on, which a kill does test.
        settings: { fsync: 'off', full_page_writes: 'off', max_connections: '120' },
      });
    let postgres = await startPostgres();
    undo.push(() => postgres.stop());
    await migrateDatabase(postgres.url);
    await migrateQueue({ databaseUrl: postgres.url });
    const databaseProxy = await startFaultProxy(port);
    undo.push(() => databaseProxy.stop());
    env['DATABASE_URL'] = postgres.url.replace(`:${port}/`, `:${databaseProxy.port}/`);
    parts.postgres = {
      proxy: databaseProxy,
      async bounce(downMs) {
        process.kill(postgres.pid, 'SIGKILL');
        await wait(downMs);
        postgres = await startPostgres();
      },
    };

    let flushRedis = async () => {};
    if (queue === 'redis') {
      const redisPort = await freePort();
      let redis = await startRedis(redisPort);
      undo.push(() => redis.stop());
      const proxy = await startFaultProxy(redisPort);
      undo.push(() => proxy.stop());
      env['REDIS_URL'] = `redis://127.0.0.1:${proxy.port}`;
      flushRedis = () => redis.flush();
      parts.redis = {
        proxy,
        async bounce(downMs) {
          process.kill(redis.pid, 'SIGKILL');
          await wait(downMs);
          redis = await startRedis(redisPort);
        },
      };
    }

    let refusing: RefusingHttp | null = null;
    let s3Direct: string | null = null;
    if (storage === 's3') {
      const s3 = await startS3();
      undo.push(() => s3.stop());
      s3Direct = s3.endpoint;
      const overloaded = await startRefusingHttp(Number(new URL(s3.endpoint).port));
      refusing = overloaded;
      undo.push(() => overloaded.stop());
      const proxy = await startFaultProxy(overloaded.port);
      undo.push(() => proxy.stop());
      Object.assign(env, s3.credentials, {
        ...{ ROWSMITH_STORAGE: 's3', ROWSMITH_S3_ENDPOINT: `http://127.0.0.1:${proxy.port}` },
        ...{ ROWSMITH_S3_BUCKET: bucket.bucket, ROWSMITH_S3_PREFIX: bucket.prefix, AWS_REGION: bucket.region },
      });
      parts.s3 = {
        proxy,
        async bounce(downMs) {
          process.kill(s3.pid, 'SIGKILL');
          await wait(downMs);
          await s3.restart();
        },
      };
    }
    return { parts, databaseUrl: postgres.url, s3Direct, refusing, env, flushRedis: () => flushRedis(), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
