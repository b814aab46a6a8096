/** Everything the worker process reads from its environment; all faults are reported at once. */
import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { idPrefixes, newId, type StorageLocation, type WorkerId } from '@rowsmith/contracts';
import { cacheFolder, threadCount, trainerEnvironment } from '@rowsmith/native';
import { storageSecretNames, storageSettings } from '@rowsmith/storage';
import { traceSettingNames } from '@rowsmith/telemetry';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

const seconds = (name: string, low: number, high: number, what: string) =>
  Type.Number({ minimum: low, maximum: high, description: `${name} must be a number of seconds from ${low} to ${high} (${what})` });

const Env = Type.Object({
  DATABASE_URL: Type.String({
    pattern: '^postgres(ql)?://',
    description: 'DATABASE_URL must be a URL that starts with postgres:// or postgresql://',
  }),
  REDIS_URL: Type.Optional(
    Type.String({ pattern: '^rediss?://', description: 'REDIS_URL must be a URL that starts with redis:// or rediss://' }),
  ),
  ROWSMITH_DATA: Type.String({ minLength: 1 }),
  ROWSMITH_MODELS: Type.Optional(Type.String({ minLength: 1 })),
  ROWSMITH_THREADS: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1024, description: 'ROWSMITH_THREADS must be a whole number from 1 to 1024' }),
  ),
  ROWSMITH_WORKER_ID: Type.Optional(
    Type.Unsafe<WorkerId>(
      Type.String({
        pattern: `^${idPrefixes.worker}[0-9A-Za-z]{24}$`,
        description: 'ROWSMITH_WORKER_ID must be `worker-` and 24 letters or digits',
      }),
    ),
  ),
  ROWSMITH_DEVICE_CLASS: Type.String({
    pattern: '^[a-z0-9][a-z0-9-]{0,31}$',
    description: 'ROWSMITH_DEVICE_CLASS must be up to 32 lower-case letters, digits and hyphens, e.g. cpu or cuda-80g',
  }),
  ROWSMITH_HEARTBEAT_SECONDS: seconds('ROWSMITH_HEARTBEAT_SECONDS', 0.05, 30, 'between two heartbeats of a running job'),
  ROWSMITH_STOP_GRACE_SECONDS: seconds('ROWSMITH_STOP_GRACE_SECONDS', 0, 3600, 'for a trainer to save its work before it is killed'),
  ROWSMITH_TRAINER_SILENCE_SECONDS: seconds(
    'ROWSMITH_TRAINER_SILENCE_SECONDS',
    1,
    86_400,
    'without a message after which a trainer counts as stuck; one step may take long',
  ),
  ROWSMITH_TRAINER_NICE: Type.Integer({
    minimum: 0,
    maximum: 19,
    description: 'ROWSMITH_TRAINER_NICE must be a whole number from 0 to 19: how far trainers stand back for the API and the database',
  }),
  ROWSMITH_MAX_RUNS: Type.Integer({
    minimum: 0,
    maximum: 1_000_000,
    description: 'ROWSMITH_MAX_RUNS must be a whole number: after how many attempts the worker ends by itself, 0 = never',
  }),
  ROWSMITH_MAX_IDLE_SECONDS: seconds(
    'ROWSMITH_MAX_IDLE_SECONDS',
    0,
    86_400,
    'without a job after which the worker ends by itself, 0 = never',
  ),
  ROWSMITH_METRICS_PORT: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 65_535,
      description: 'ROWSMITH_METRICS_PORT must be a port of /metrics, /healthz and /readyz, 0 = any free one; without it there is none',
    }),
  ),
  ROWSMITH_METRICS_HOST: Type.String({ minLength: 1 }),
  ROWSMITH_LOG_LEVEL: Type.Unsafe<LogLevel>(
    Type.String({
      enum: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      description: 'ROWSMITH_LOG_LEVEL must be fatal, error, warn, info, debug, trace or silent',
    }),
  ),
});
type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

const numbers = new Set(
  Object.keys(Env.properties).filter(
    (name) =>
      name.endsWith('_SECONDS') ||
      ['ROWSMITH_THREADS', 'ROWSMITH_TRAINER_NICE', 'ROWSMITH_MAX_RUNS', 'ROWSMITH_METRICS_PORT'].includes(name),
  ),
);
const defaults: Readonly<Record<string, unknown>> = {
  ROWSMITH_DATA: '.rowsmith',
  ROWSMITH_DEVICE_CLASS: 'cpu',
  ROWSMITH_HEARTBEAT_SECONDS: 2,
  ROWSMITH_STOP_GRACE_SECONDS: 20,
  ROWSMITH_TRAINER_SILENCE_SECONDS: 1800,
  ROWSMITH_TRAINER_NICE: 10,
  ROWSMITH_MAX_RUNS: 0,
  ROWSMITH_MAX_IDLE_SECONDS: 0,
  ROWSMITH_METRICS_HOST: '127.0.0.1',
  ROWSMITH_LOG_LEVEL: 'info',
};

export interface WorkerEnv {
  /** Stable over restarts when given: the worker then takes back what its killed predecessor held, at once. */
  readonly workerId: WorkerId;
  /** Whose jobs it takes: on every worker of a class a job must end with the same bytes. */
  readonly deviceClass: string;
  readonly databaseUrl: string;
  readonly redisUrl: string | null;
  readonly dataDir: string;
  readonly storage: StorageLocation;
  readonly modelsDir: string;
  readonly heartbeatMs: number;
  readonly stopGraceMs: number;
  readonly trainerSilenceMs: number;
  /** Attempts after which the worker ends; 0: never. */
  readonly maxRuns: number;
  /** Time without a job after which it ends; 0: never. */
  readonly maxIdleMs: number;
  /** Where /metrics, /healthz and /readyz are; null: nowhere. */
  readonly metrics: { readonly host: string; readonly port: number } | null;
  readonly logLevel: LogLevel;
  /** All that a trainer gets to see: no database, no keys but those of the object store when it needs them. */
  readonly trainerEnv: Readonly<Record<string, string>>;
  /** 0 to 19, as `nice`. */
  readonly trainerNiceness: number;
}

export class EnvError extends Error {
  override readonly name = 'EnvError';
  readonly code = 'invalid_environment';
  constructor(readonly faults: readonly string[]) {
    super(`The environment is not complete:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
  }
}

type Source = Readonly<Record<string, string | undefined>>;

/** Empty values count as absent. Throws EnvError with every fault; values are not repeated, they may be secrets. */
export function loadEnv(source: Source): WorkerEnv {
  const given: Record<string, unknown> = {};
  for (const name of Object.keys(Env.properties)) {
    const text = source[name];
    if (text !== undefined && text !== '') given[name] = numbers.has(name) && /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
    else if (defaults[name] !== undefined) given[name] = defaults[name];
  }
  const storage = storageSettings(source, source['ROWSMITH_DATA'] ?? '');
  if (!Value.Check(Env, given) || storage.faults.length > 0) throw new EnvError([...faultsOf(given), ...storage.faults]);
  const env = given as Static<typeof Env>;
  const dataDir = resolve(env.ROWSMITH_DATA);
  return {
    workerId: env.ROWSMITH_WORKER_ID ?? newId('worker', randomBytes),
    deviceClass: env.ROWSMITH_DEVICE_CLASS,
    databaseUrl: env.DATABASE_URL,
    redisUrl: env.REDIS_URL ?? null,
    dataDir,
    storage: storage.location,
    modelsDir: resolve(env.ROWSMITH_MODELS ?? join(cacheFolder(source), 'models')),
    heartbeatMs: env.ROWSMITH_HEARTBEAT_SECONDS * 1000,
    stopGraceMs: env.ROWSMITH_STOP_GRACE_SECONDS * 1000,
    trainerSilenceMs: env.ROWSMITH_TRAINER_SILENCE_SECONDS * 1000,
    maxRuns: env.ROWSMITH_MAX_RUNS,
    maxIdleMs: env.ROWSMITH_MAX_IDLE_SECONDS * 1000,
    metrics: env.ROWSMITH_METRICS_PORT === undefined ? null : { host: env.ROWSMITH_METRICS_HOST, port: env.ROWSMITH_METRICS_PORT },
    logLevel: env.ROWSMITH_LOG_LEVEL,
    trainerEnv: trainerEnvOf(source, env.ROWSMITH_THREADS ?? threadCount({}), storage.location),
    trainerNiceness: env.ROWSMITH_TRAINER_NICE,
  };
}

function faultsOf(given: Record<string, unknown>): string[] {
  const told = new Set<string>();
  for (const error of Value.Errors(Env, given)) {
    const names = error.keyword === 'required' ? error.params.requiredProperties : [error.instancePath.slice(1)];
    for (const name of names) {
      const schema = Object.entries(Env.properties).find(([key]) => key === name)?.[1];
      told.add(schema !== undefined && 'description' in schema ? String(schema.description) : `${name} is not set`);
    }
  }
  return [...told];
}

/** An allow list: whatever secrets the worker's environment holds, the process that reads users' files does not see them. */
const passedOn = [
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TZ',
  'XDG_CACHE_HOME',
  'ROWSMITH_CACHE',
  'ROWSMITH_THREADS',
  'ROWSMITH_MEMORY_MB',
  'ROWSMITH_KERNELS',
  'LD_LIBRARY_PATH',
  'CUDA_VISIBLE_DEVICES',
  'NVIDIA_VISIBLE_DEVICES',
  'NVIDIA_DRIVER_CAPABILITIES',
];

/** TensorFlow's settings come with the process: some are read before any JavaScript runs. What the operator set himself wins. */
function trainerEnvOf(source: Source, threads: number, storage: StorageLocation): Record<string, string> {
  const computing = trainerEnvironment(threads);
  const names = [...passedOn, ...traceSettingNames, ...(storage.driver === 's3' ? storageSecretNames : []), ...Object.keys(computing)];
  return { ...computing, ...Object.fromEntries(names.flatMap((name) => (source[name] ? [[name, source[name]]] : []))) };
}
