import { createAttemptStore, openDatabase } from '@rowsmith/db';
import { createWakeConsumer } from '@rowsmith/queue';
import type { Logger } from '@rowsmith/telemetry';
import type { WorkerEnv } from './env.js';
import { takeScratch } from './scratch.js';
import { superviseAttempt } from './supervise-attempt.js';

/** One attempt at a time, so few connections are enough: writes in order, and heartbeats beside them. */
const databaseConnections = 4;
const fixedTiming = { termGraceMs: 5_000, databaseSilenceMs: 60_000, metricsDelayMs: 250 };

/** Takes jobs until `shutdown` fires, then hands the running one back. Resolves when all is closed. */
export async function runWorker(env: WorkerEnv, log: Logger, trainerProgram: string, shutdown: AbortSignal): Promise<void> {
  const { workerId } = env;
  const scratch = await takeScratch(env.dataDir, workerId);
  const database = openDatabase(env.databaseUrl, { maxConnections: databaseConnections });
  try {
    const attempts = createAttemptStore(database);
    const timing = { heartbeatMs: env.heartbeatMs, stopGraceMs: env.stopGraceMs, trainerSilenceMs: env.trainerSilenceMs, ...fixedTiming };
    const { modelsDir, trainerEnv, storage } = env;
    const deps = { attempts, log, trainerProgram, trainerEnv, storage, modelsDir, scratchDir: scratch.dir, timing };
    const reclaimed = await untilAnswered(() => attempts.reclaim(workerId), log, shutdown);
    const consumer = await createWakeConsumer(
      env.redisUrl === null ? { databaseUrl: env.databaseUrl } : { redisUrl: env.redisUrl },
      async (jobId, lockLost) => {
        if (shutdown.aborted) return;
        const attempt = await attempts.begin(jobId, workerId);
        if (attempt === 'not_runnable') return;
        // The tables say who owns a job; a worker that cannot reach its queue gives it back, with nothing lost, rather than hold it alone.
        await superviseAttempt(deps, attempt, AbortSignal.any([shutdown, lockLost]));
      },
      { signal: shutdown, onError: (error) => log.warn({ op: 'worker.queue', err: error }) },
    );
    log.info({ op: 'worker.ready', workerId, reclaimed });
    await aborted(shutdown);
    await consumer.close();
  } catch (error) {
    if (!shutdown.aborted) throw error;
  } finally {
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
