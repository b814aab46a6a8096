/** Everything the API process reads from its environment; all faults are reported at once. */
import { resolve } from 'node:path';
import type { StorageLocation } from '@rowsmith/contracts';
import { modelStore } from '@rowsmith/hf';
import { storageSettings } from '@rowsmith/storage';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import type { TrackingServers } from './tracking/tracking-loop.js';

const number = (name: string, low: number, high: number) =>
  Type.Integer({ minimum: low, maximum: high, description: `${name} must be a whole number from ${low} to ${high}` });

const Env = Type.Object({
  ROWSMITH_HOST: Type.String({ minLength: 1 }),
  ROWSMITH_PORT: number('ROWSMITH_PORT', 0, 65_535),
  ROWSMITH_DATA: Type.String({ minLength: 1 }),
  ROWSMITH_MODELS: Type.Optional(Type.String({ minLength: 1, description: 'folder of the packed base models' })),
  ROWSMITH_CACHE: Type.Optional(
    Type.String({ minLength: 1, description: 'cache folder; the models are in it unless ROWSMITH_MODELS says otherwise' }),
  ),
  ROWSMITH_API_KEY: Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{8,256}$',
      description: 'ROWSMITH_API_KEY must be 8 to 256 visible ASCII characters without spaces',
    }),
  ),
  ROWSMITH_API_KEYS: Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x2b\\x2d-\\x7e]{8,256}(,[\\x21-\\x2b\\x2d-\\x7e]{8,256})*$',
      description: 'ROWSMITH_API_KEYS must be keys of 8 to 256 visible ASCII characters, separated by commas',
    }),
  ),
  ROWSMITH_PEPPER: Type.String({
    minLength: 32,
    description: 'ROWSMITH_PEPPER must be a secret of at least 32 characters; keys are stored under its HMAC, so it must stay the same',
  }),
  DATABASE_URL: Type.String({
    pattern: '^postgres(ql)?://',
    description: 'DATABASE_URL must be a URL that starts with postgres:// or postgresql://',
  }),
  REDIS_URL: Type.Optional(
    Type.String({ pattern: '^rediss?://', description: 'REDIS_URL must be a URL that starts with redis:// or rediss://' }),
  ),
  ROWSMITH_MAX_FILE_BYTES: number('ROWSMITH_MAX_FILE_BYTES', 1, Number.MAX_SAFE_INTEGER),
  ROWSMITH_REQUESTS_PER_MINUTE: number('ROWSMITH_REQUESTS_PER_MINUTE', 0, 1_000_000_000),
  ROWSMITH_STALE_SECONDS: number('ROWSMITH_STALE_SECONDS', 5, 86_400),
  ROWSMITH_AUDIT_DAYS: number('ROWSMITH_AUDIT_DAYS', 0, 36_500),
  ROWSMITH_MIN_WORKERS: number('ROWSMITH_MIN_WORKERS', 0, 100_000),
  ROWSMITH_CORS_ORIGINS: Type.Optional(Type.String({ description: 'origins separated by commas' })),
  ROWSMITH_TRUSTED_PROXIES: Type.Optional(Type.String({ description: 'addresses or CIDR ranges separated by commas' })),
  ROWSMITH_WEBHOOKS_PRIVATE: Type.Unsafe<'0' | '1'>(
    Type.String({
      enum: ['0', '1'],
      description: 'ROWSMITH_WEBHOOKS_PRIVATE must be 1 (webhooks may go to http, any port and addresses inside the network) or 0',
    }),
  ),
  WANDB_API_KEY: Type.Optional(Type.String({ minLength: 1, description: 'key of the account that jobs with a wandb integration log to' })),
  WANDB_BASE_URL: Type.String({ pattern: '^https?://', description: 'WANDB_BASE_URL must start with http:// or https://' }),
  MLFLOW_TRACKING_URI: Type.Optional(
    Type.String({ pattern: '^https?://', description: 'MLFLOW_TRACKING_URI must start with http:// or https://' }),
  ),
  MLFLOW_TRACKING_TOKEN: Type.Optional(Type.String({ minLength: 1, description: 'bearer token of the MLflow server' })),
  ROWSMITH_LOG_LEVEL: Type.Unsafe<LogLevel>(
    Type.String({
      enum: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      description: 'ROWSMITH_LOG_LEVEL must be fatal, error, warn, info, debug, trace or silent',
    }),
  ),
});
type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

const numbers = new Set([
  'ROWSMITH_PORT',
  'ROWSMITH_MAX_FILE_BYTES',
  'ROWSMITH_REQUESTS_PER_MINUTE',
  'ROWSMITH_STALE_SECONDS',
  'ROWSMITH_AUDIT_DAYS',
  'ROWSMITH_MIN_WORKERS',
]);
const defaults: Readonly<Record<string, unknown>> = {
  ROWSMITH_HOST: '127.0.0.1',
  ROWSMITH_PORT: 8080,
  ROWSMITH_DATA: '.rowsmith',
  ROWSMITH_MAX_FILE_BYTES: 2 * 1024 ** 3,
  ROWSMITH_REQUESTS_PER_MINUTE: 60_000,
  ROWSMITH_STALE_SECONDS: 30,
  ROWSMITH_AUDIT_DAYS: 0,
  ROWSMITH_MIN_WORKERS: 0,
  ROWSMITH_WEBHOOKS_PRIVATE: '0',
  WANDB_BASE_URL: 'https://api.wandb.ai',
  ROWSMITH_LOG_LEVEL: 'info',
};

export interface ApiEnv {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly storage: StorageLocation;
  readonly modelsDir: string;
  readonly apiKeys: readonly string[];
  readonly pepper: string;
  readonly databaseUrl: string;
  readonly redisUrl: string | null;
  readonly maxFileBytes: number;
  readonly requestsPerMinute: number;
  /** Silence after which a running attempt counts as lost; workers beat every 2 s. */
  readonly staleMs: number;
  /** Days after which entries of the audit log are forgotten; 0: never. */
  readonly auditDays: number;
  /** Living workers without which the service is not ready; 0: an idle fleet that starts from zero takes jobs too. */
  readonly minWorkers: number;
  readonly corsOrigins: readonly string[];
  readonly trustedProxies: readonly string[];
  /** Webhooks may go to http, any port and addresses inside the network. */
  readonly privateWebhooks: boolean;
  readonly tracking: TrackingServers;
  readonly logLevel: LogLevel;
}

export class EnvError extends Error {
  override readonly name = 'EnvError';
  readonly code = 'invalid_environment';
  constructor(readonly faults: readonly string[]) {
    super(`The environment is not complete:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
  }
}

const commaList = (text: string | undefined) =>
  (text ?? '')
    .split(',')
    .map((s) => s.trim())
    .filter((s) => s !== '');

/** Empty values count as absent. Throws EnvError with every fault; values are not repeated, they may be secrets. */
export function loadEnv(source: Readonly<Record<string, string | undefined>>): ApiEnv {
  const given: Record<string, unknown> = {};
  for (const name of Object.keys(Env.properties)) {
    const text = source[name];
    if (text !== undefined && text !== '') given[name] = numbers.has(name) && /^\d+$/.test(text) ? Number(text) : text;
    else if (defaults[name] !== undefined) given[name] = defaults[name];
  }
  const storage = storageSettings(source, source['ROWSMITH_DATA'] || String(defaults['ROWSMITH_DATA']));
  if (!Value.Check(Env, given) || storage.faults.length > 0) {
    const told = new Set<string>();
    for (const error of Value.Errors(Env, given)) {
      const names = error.keyword === 'required' ? error.params.requiredProperties : [error.instancePath.slice(1)];
      for (const name of names) {
        const schema = Object.entries(Env.properties).find(([key]) => key === name)?.[1];
        told.add(schema !== undefined && 'description' in schema ? String(schema.description) : `${name} is not set`);
      }
    }
    throw new EnvError([...told, ...storage.faults]);
  }
  const env = given as Static<typeof Env>;
  const dataDir = resolve(env.ROWSMITH_DATA);
  return {
    host: env.ROWSMITH_HOST,
    port: env.ROWSMITH_PORT,
    dataDir,
    storage: storage.location,
    modelsDir: resolve(env.ROWSMITH_MODELS ?? modelStore(source)),
    apiKeys: [...(env.ROWSMITH_API_KEY === undefined ? [] : [env.ROWSMITH_API_KEY]), ...commaList(env.ROWSMITH_API_KEYS)],
    pepper: env.ROWSMITH_PEPPER,
    databaseUrl: env.DATABASE_URL,
    redisUrl: env.REDIS_URL ?? null,
    maxFileBytes: env.ROWSMITH_MAX_FILE_BYTES,
    requestsPerMinute: env.ROWSMITH_REQUESTS_PER_MINUTE,
    staleMs: env.ROWSMITH_STALE_SECONDS * 1000,
    auditDays: env.ROWSMITH_AUDIT_DAYS,
    minWorkers: env.ROWSMITH_MIN_WORKERS,
    corsOrigins: commaList(env.ROWSMITH_CORS_ORIGINS),
    trustedProxies: commaList(env.ROWSMITH_TRUSTED_PROXIES),
    tracking: {
      wandb: env.WANDB_API_KEY === undefined ? null : { url: env.WANDB_BASE_URL.replace(/\/+$/, ''), apiKey: env.WANDB_API_KEY },
      mlflow:
        env.MLFLOW_TRACKING_URI === undefined
          ? null
          : { url: env.MLFLOW_TRACKING_URI.replace(/\/+$/, ''), token: env.MLFLOW_TRACKING_TOKEN ?? null },
    },
    privateWebhooks: env.ROWSMITH_WEBHOOKS_PRIVATE === '1',
    logLevel: env.ROWSMITH_LOG_LEVEL,
  };
}
