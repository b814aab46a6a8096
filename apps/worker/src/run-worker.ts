import { hostname } from 'node:os';
import { createAttemptStore, createWorkerStore, openDatabase } from '@rowsmith/db';
import { createWakeConsumer } from '@rowsmith/queue';
import { createWorkerMetrics, type Logger, tracingWanted } from '@rowsmith/telemetry';
import { confinementOf } from './confinement.js';
import type { WorkerEnv } from './env.js';
import { Lifespan } from './lifespan.js';
import { startMetricsServer } from './metrics-server.js';
import { register } from './registration.js';
import { takeScratch } from './scratch.js';
import { superviseAttempt } from './supervise-attempt.js';

/** Of the format of checkpoints and messages, for whoever looks at the registry. */
const workerVersion = '1';
/** One attempt at a time, so few connections are enough: writes in order, and heartbeats beside them. */
const databaseConnections = 5;
const fixedTiming = { termGraceMs: 5_000, databaseSilenceMs: 60_000, metricsDelayMs: 250 };

/** Takes jobs until `shutdown` fires, then hands the running one back. Resolves when all is closed. */
export async function runWorker(env: WorkerEnv, log: Logger, trainerProgram: string, shutdown: AbortSignal): Promise<void> {
  const { workerId, deviceClass } = env;
  const scratch = await takeScratch(env.dataDir, workerId);
  const database = openDatabase(env.databaseUrl, { maxConnections: databaseConnections });
  const metrics = createWorkerMetrics();
  let notReady: string | null = 'the database or the queue has not answered yet';
  const server = env.metrics === null ? null : await startMetricsServer({ ...env.metrics, metrics, notReady: () => notReady, log });
  try {
    const attempts = createAttemptStore(database);
    const timing = { heartbeatMs: env.heartbeatMs, stopGraceMs: env.stopGraceMs, trainerSilenceMs: env.trainerSilenceMs, ...fixedTiming };
    const { modelsDir, trainerEnv, trainerNiceness, storage } = env;
    const confinement = confinementOf({ needsNetwork: storage.driver === 's3' || tracingWanted(trainerEnv) });
    log.info({ op: 'worker.confinement', kept: confinement.kept, missing: confinement.missing });
    const deps = {
      attempts,
      log,
      metrics,
      trainerProgram,
      trainerEnv,
      trainerNiceness,
      trainerWrapper: confinement.wrapper,
      storage,
      modelsDir,
      scratchDir: scratch.dir,
      timing,
    };
    const reclaimed = await untilAnswered(() => attempts.reclaim(workerId), log, shutdown);
    const self = { id: workerId, deviceClass, slots: 1, version: workerVersion, host: hostname() };
    const leave = await untilAnswered(() => register(createWorkerStore(database), self, log), log, shutdown);
    try {
      const skewed = new AbortController();
      const lifespan = new Lifespan(env);
      const consumer = await createWakeConsumer(
        env.redisUrl === null ? { databaseUrl: env.databaseUrl } : { redisUrl: env.redisUrl },
        async (jobId, lockLost) => {
          if (shutdown.aborted || lifespan.over.aborted) return;
          const attempt = await attempts.begin(jobId, workerId, deviceClass);
          if (attempt === 'not_runnable') return;
          // The tables say who owns a job; a worker that cannot reach its queue gives it back, with nothing lost, rather than hold it alone.
          await lifespan.during(() => superviseAttempt(deps, attempt, AbortSignal.any([shutdown, lockLost])));
        },
        {
          ...{ signal: shutdown, deviceClass, onSkew: (error) => skewed.abort(error) },
          onError: (error) => log.warn({ op: 'worker.queue', err: error }),
        },
      );
      notReady = null;
      log.info({ op: 'worker.ready', workerId, deviceClass, reclaimed });
      await Promise.race([aborted(shutdown), aborted(skewed.signal), aborted(lifespan.over)]);
      if (lifespan.over.aborted) log.info({ op: 'worker.over', reason: String(lifespan.over.reason.message) });
      notReady = 'the worker is ending';
      lifespan.end();
      await consumer.close();
      // A worker with a wrong clock is worth less than none: it ends, and whoever starts it again sees why.
      skewed.signal.throwIfAborted();
    } finally {
      await leave();
    }
  } catch (error) {
    if (!shutdown.aborted) throw error;
  } finally {
    await server?.close();
    await database.close();
    await scratch.release();
  }
}

/** A worker may be started before its database. */
async function untilAnswered<T>(ask: () => Promise<T>, log: Logger, shutdown: AbortSignal): Promise<T> {
  for (let delayMs = 250; ; delayMs = Math.min(2 * delayMs, 5000)) {
    shutdown.throwIfAborted();
    try {
      return await ask();
    } catch (error) {
      log.warn({ op: 'worker.database', err: error });
      await Promise.race([aborted(shutdown), new Promise((next) => setTimeout(next, delayMs))]);
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
