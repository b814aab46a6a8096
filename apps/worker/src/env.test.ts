import { expect, test } from 'vitest';
import { EnvError, loadEnv } from './env.js';

test('defaults lie beside the data folder and in the cache', () => {
  const env = loadEnv({
    DATABASE_URL: 'postgresql://h/d',
    ROWSMITH_DATA: '/data',
    ROWSMITH_CACHE: '/cache',
    ROWSMITH_THREADS: '3',
    REDIS_URL: '',
  });
  expect(env).toMatchObject({ objectsDir: '/data/objects', modelsDir: '/cache/models', threads: 3, redisUrl: null, stopGraceMs: 30_000 });
  expect(env.workerId).toMatch(/^worker-\w{24}$/);
});

test('all faults at once, without the values', () => {
  const read = () =>
    loadEnv({
      DATABASE_URL: 'mysql://user:s3cret@h',
      ROWSMITH_THREADS: 'many',
      ROWSMITH_WORKER_ID: 'me',
      ROWSMITH_STOP_GRACE_SECONDS: '0',
    });
  expect(read).toThrow(EnvError);
  try {
    read();
  } catch (error) {
    expect((error as EnvError).faults).toHaveLength(4);
    expect(String(error)).not.toContain('s3cret');
  }
});
