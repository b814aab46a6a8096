/** The single-machine stack: embedded Postgres, migrations, API, one worker. Composition only; each part is a process of its own. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { migrateDatabase } from '@rowsmith/db';
import { startEmbeddedPostgres } from '@rowsmith/db/embedded';
import { migrateQueue } from '@rowsmith/queue';
import { Service } from './child.js';
import { lockDataFolder } from './data-lock.js';
import { choosePort } from './free-port.js';
import { waitUntilReady } from './ready.js';
import { openSecrets, type Secrets } from './secrets.js';
import { openServiceLog } from './service-log.js';
import type { UpSettings } from './settings.js';

export interface Stack {
  readonly url: string;
  readonly secrets: Secrets;
  /** Process ids by service, as of now; a service that was started again has a new one. */
  pids(): Readonly<Record<string, number | undefined>>;
  /** Rejects when a part cannot be kept alive. Never resolves by itself. */
  readonly failed: Promise<never>;
  /** Worker first (it hands its job back), then the API, then Postgres. */
  stop(): Promise<void>;
}

const program = (room: string) => fileURLToPath(import.meta.resolve(`../../${room}/dist/main.js`));
/** The worker needs time to checkpoint its job; the API only to finish requests. */
const workerGraceMs = 60_000;
const apiGraceMs = 10_000;
const readyTimeoutMs = 120_000;

export async function startStack(settings: UpSettings, env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<Stack> {
  await mkdir(settings.dataDir, { recursive: true });
  const lock = await lockDataFolder(settings.dataDir);
  const undo: (() => Promise<void>)[] = [() => lock.release()];
  const stop = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    const secrets = await openSecrets(settings.dataDir, settings.apiKey);
    const port = await choosePort(settings.host, settings.port);
    let databaseUrl = settings.databaseUrl;
    if (databaseUrl === null) {
      say('Starting the embedded Postgres');
      const postgres = await startEmbeddedPostgres({
        dataDir: join(settings.dataDir, 'postgres'),
        port: await choosePort('127.0.0.1', 0),
        log: openServiceLog(settings.dataDir, 'postgres', () => undefined),
      });
      undo.push(() => postgres.stop());
      databaseUrl = postgres.url;
    }
    say('Bringing the database up to date');
    await migrateDatabase(databaseUrl);
    if (settings.redisUrl === null) await migrateQueue({ databaseUrl });

    const url = `http://${settings.host.includes(':') ? `[${settings.host}]` : settings.host}:${port}`;
    const common = {
      ...env,
      DATABASE_URL: databaseUrl,
      ...(settings.redisUrl === null ? {} : { REDIS_URL: settings.redisUrl }),
      ROWSMITH_DATA: settings.dataDir,
    };
    let giveUp: (reason: Error) => void = () => undefined;
    const failed = new Promise<never>((_, reject) => {
      giveUp = reject;
    });
    failed.catch(() => undefined);
    const services: Record<string, Service> = {};
    const service = (name: string, extra: NodeJS.ProcessEnv, graceMs: number) => {
      const running = new Service({
        name,
        program: program(name),
        env: { ...common, ...extra },
        log: openServiceLog(settings.dataDir, name, say),
        onGiveUp: (reason) => giveUp(new Error(`${reason}. See ${join(settings.dataDir, 'logs', `${name}.log`)}`)),
      });
      running.start();
      services[name] = running;
      undo.push(() => running.stop(graceMs));
    };
    say('Starting the API and the worker');
    const secretsOfApi = { ROWSMITH_API_KEY: secrets.apiKey, ROWSMITH_PEPPER: secrets.pepper };
    service('api', { ROWSMITH_HOST: settings.host, ROWSMITH_PORT: String(port), ...secretsOfApi }, apiGraceMs);
    service('worker', { ROWSMITH_WORKER_ID: secrets.workerId, ROWSMITH_API_KEY: undefined, ROWSMITH_PEPPER: undefined }, workerGraceMs);
    await Promise.race([waitUntilReady(reachable(settings.host, port), AbortSignal.timeout(readyTimeoutMs)), failed]);
    await lock.publish(reachable(settings.host, port));
    const pids = () => Object.fromEntries(Object.entries(services).map(([name, running]) => [name, running.pid]));
    return { url, secrets, pids, failed, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** 0.0.0.0 and :: are addresses to listen on, not to call. */
function reachable(host: string, port: number): string {
  if (host === '0.0.0.0') return `http://127.0.0.1:${port}`;
  if (host === '::') return `http://[::1]:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
