/** The API process: reads its environment, serves until SIGTERM or SIGINT, then lets requests finish. */
import { createLogger, startTracing } from '@rowsmith/telemetry';
import { type ApiEnv, EnvError, loadEnv } from './env.js';
import { openService } from './service.js';

/** Requests still running after this long lose their connection, so that the process ends before it is killed. */
const graceMs = 8_000;

function readEnv(): ApiEnv {
  try {
    return loadEnv(process.env);
  } catch (error) {
    if (!(error instanceof EnvError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

const env = readEnv();
const log = createLogger('api', env.logLevel);
const endTracing = await startTracing('api', process.env);
try {
  const service = await openService(env, log);
  const url = await service.app.listen({ host: env.host, port: env.port });
  log.info({ op: 'api.listening', url }, 'listening');
  let stopping = false;
  const stop = async (signal: NodeJS.Signals) => {
    if (stopping) return;
    stopping = true;
    log.info({ op: 'api.stopping', signal }, 'stopping');
    setTimeout(() => service.app.server.closeAllConnections(), graceMs).unref();
    await service.close();
    await endTracing();
    log.info({ op: 'api.stopped' }, 'stopped');
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      stop(signal).catch((error: unknown) => {
        log.error({ op: 'api.stopping', err: error }, 'the stop failed');
        process.exit(1);
      });
    });
  }
} catch (error) {
  log.fatal({ op: 'api.start', err: error }, 'the API cannot start');
  process.exitCode = 1;
}
