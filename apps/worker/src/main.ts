/** The worker process: one device, one job at a time. SIGTERM and SIGINT hand the running job back and end the process. */
import { fileURLToPath } from 'node:url';
import { createLogger, startTracing } from '@rowsmith/telemetry';
import { EnvError, loadEnv, type WorkerEnv } from './env.js';
import { runWorker } from './run-worker.js';

function environment(): WorkerEnv {
  try {
    return loadEnv(process.env);
  } catch (error) {
    if (!(error instanceof EnvError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(78);
  }
}

const env = environment();
const log = createLogger('worker', env.logLevel).child({ worker: env.workerId });
const endTracing = await startTracing('worker', process.env);
const shutdown = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => shutdown.abort(new Error(signal)));

try {
  await runWorker(env, log, fileURLToPath(new URL('../../trainer/dist/main.js', import.meta.url)), shutdown.signal);
  await endTracing();
  process.exit(0);
} catch (error) {
  log.fatal({ op: 'worker', err: error });
  await endTracing();
  process.exit(1);
}
