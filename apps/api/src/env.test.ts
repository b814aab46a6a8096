import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { EnvError, loadEnv } from './env.js';

const enough = { DATABASE_URL: 'postgres://localhost/rowsmith', ROWSMITH_PEPPER: 'p'.repeat(32) };

test('defaults', () => {
  expect(loadEnv({ ...enough, REDIS_URL: '', ROWSMITH_CACHE: '/caches' })).toEqual({
    host: '127.0.0.1',
    port: 8080,
    dataDir: resolve('.rowsmith'),
    storage: { driver: 'fs', root: resolve('.rowsmith/objects') },
    modelsDir: resolve('/caches/models'),
    apiKeys: [],
    pepper: enough.ROWSMITH_PEPPER,
    databaseUrl: enough.DATABASE_URL,
    redisUrl: null,
    maxFileBytes: 2147483648,
    requestsPerMinute: 60000,
    staleMs: 30000,
    auditDays: 0,
    minWorkers: 0,
    corsOrigins: [],
    trustedProxies: [],
    privateWebhooks: false,
    tracking: { wandb: null, mlflow: null },
    logLevel: 'info',
  });
});

test('several keys', () => {
  expect(loadEnv({ ...enough, ROWSMITH_API_KEY: 'first-key,', ROWSMITH_API_KEYS: 'second-key,third-key' }).apiKeys).toEqual([
    'first-key,',
    'second-key',
    'third-key',
  ]);
});

test('all faults at once, and no secret in the message', () => {
  const load = () =>
    loadEnv({
      ROWSMITH_PORT: '8o8o',
      DATABASE_URL: 'mysql://root:hunter2@db',
      ROWSMITH_PEPPER: 'too-short-pepper',
      ROWSMITH_LOG_LEVEL: 'loud',
    });
  expect(load).toThrow(EnvError);
  try {
    load();
  } catch (error) {
    const { faults, message } = error as EnvError;
    expect(faults).toHaveLength(4);
    for (const name of ['ROWSMITH_PORT', 'DATABASE_URL', 'ROWSMITH_PEPPER', 'ROWSMITH_LOG_LEVEL']) expect(message).toContain(name);
    expect(message).not.toContain('hunter2');
    expect(message).not.toContain('too-short-pepper');
  }
});

test('what is required is named', () => {
  expect(() => loadEnv({})).toThrow(/DATABASE_URL[\s\S]*ROWSMITH_PEPPER|ROWSMITH_PEPPER[\s\S]*DATABASE_URL/);
});

test('tracking servers, without the slash at their end', () => {
  const { tracking } = loadEnv({
    ...enough,
    WANDB_API_KEY: 'key',
    MLFLOW_TRACKING_URI: 'http://mlflow:5000/',
    MLFLOW_TRACKING_TOKEN: 'token',
  });
  expect(tracking).toEqual({
    wandb: { url: 'https://api.wandb.ai', apiKey: 'key' },
    mlflow: { url: 'http://mlflow:5000', token: 'token' },
  });
});
