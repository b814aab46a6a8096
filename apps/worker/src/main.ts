import { fileURLToPath } from 'node:url';
import { createAttemptStore, openDatabase } from '@rowsmith/db';
import { createWakeConsumer } from '@rowsmith/queue';
import { createLogger } from '@rowsmith/telemetry';
import { EnvError, loadEnv } from './env.js';
import { runJob } from './run-job.js';

async function main(): Promise<void> {
  const env = loadEnv(process.env);
  const log = createLogger('worker', env.logLevel).child({ worker: env.workerId });
  const shutdown = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => shutdown.abort());

  const database = openDatabase(env.databaseUrl, { maxConnections: 4 });
  const attempts = createAttemptStore(database);
  const deps = {
    attempts,
    workerId: env.workerId,
    trainerProgram: fileURLToPath(import.meta.resolve('../../trainer/dist/main.js')),
    env: process.env,
    threads: env.threads,
    objectsDir: env.objectsDir,
    modelsDir: env.modelsDir,
    log,
    heartbeatMs: 2_000,
    stopGraceMs: env.stopGraceMs,
    silenceMs: env.silenceMs,
  };
  const reclaimed = await attempts.reclaim(env.workerId);
  const backend = env.redisUrl === null ? { databaseUrl: env.databaseUrl } : { redisUrl: env.redisUrl };
  const consumer = await createWakeConsumer(backend, (jobId, lost) => runJob(deps, jobId, lost, shutdown.signal), {
    signal: AbortSignal.any([shutdown.signal, AbortSignal.timeout(120_000)]),
    onError: (error) => log.warn({ err: error }, 'queue'),
  });
  log.info(
    { op: 'worker.started', reclaimed, threads: env.threads, queue: 'redisUrl' in backend ? 'redis' : 'postgres' },
    'worker started',
  );

  if (!shutdown.signal.aborted) await new Promise((done) => shutdown.signal.addEventListener('abort', done, { once: true }));
  // Waits for the running attempt, which hands its job back.
  await consumer.close();
  await database.close();
  log.info({ op: 'worker.stopped' }, 'worker stopped');
}

try {
  await main();
  process.exit(0);
} catch (error) {
  if (error instanceof EnvError) process.stderr.write(`rowsmith worker: ${error.message}\n`);
  else createLogger('worker').fatal({ err: error }, 'worker failed');
  process.exit(1);
}
