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
  expect(env).toMatchObject({
    storage: { driver: 'fs', root: '/data/objects' },
    modelsDir: '/cache/models',
    redisUrl: null,
    deviceClass: 'cpu',
    stopGraceMs: 20_000,
    heartbeatMs: 2_000,
    trainerNiceness: 10,
  });
  expect(env.trainerEnv).toMatchObject({ ROWSMITH_THREADS: '3', OMP_NUM_THREADS: '3', ROWSMITH_CACHE: '/cache' });
  expect(env.workerId).toMatch(/^worker-\w{24}$/);
});

test('all faults at once, without the values', () => {
  const read = () =>
    loadEnv({
      DATABASE_URL: 'mysql://user:s3cret@h',
      ROWSMITH_THREADS: 'many',
      ROWSMITH_WORKER_ID: 'me',
      ROWSMITH_STOP_GRACE_SECONDS: '-1',
      ROWSMITH_TRAINER_NICE: '20',
    });
  expect(read).toThrow(EnvError);
  try {
    read();
  } catch (error) {
    expect((error as EnvError).faults).toHaveLength(5);
    expect(String(error)).not.toContain('s3cret');
  }
});

test('a trainer sees no secret of the worker, and none that nobody thought of', () => {
  const secrets = {
    REDIS_URL: 'redis://:pw@h',
    ROWSMITH_API_KEY: 'k',
    ROWSMITH_PEPPER: 'p',
    AWS_SECRET_ACCESS_KEY: 's',
    NODE_OPTIONS: '--inspect',
  };
  const { trainerEnv } = loadEnv({ DATABASE_URL: 'postgres://u:pw@h/d', PATH: '/bin', TF_CPP_MIN_LOG_LEVEL: '0', ...secrets });
  expect(Object.keys(trainerEnv).filter((name) => name === 'DATABASE_URL' || name in secrets)).toEqual([]);
  expect(trainerEnv).toMatchObject({ PATH: '/bin', TF_CPP_MIN_LOG_LEVEL: '0', TF_NUM_INTEROP_THREADS: '1' });
});

test('the keys of a bucket reach the trainer by its environment, and only when there is a bucket', () => {
  const base = { DATABASE_URL: 'postgres://h/d', ROWSMITH_DATA: '/data', AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 's3cret' };
  const env = loadEnv({ ...base, ROWSMITH_STORAGE: 's3', ROWSMITH_S3_BUCKET: 'bucket' });
  expect(env.trainerEnv).toMatchObject({ AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 's3cret' });
  expect(JSON.stringify(env.storage)).not.toContain('s3cret');
  expect(loadEnv(base).trainerEnv).not.toHaveProperty('AWS_SECRET_ACCESS_KEY');
  expect(() => loadEnv({ ...base, ROWSMITH_STORAGE: 's3' })).toThrow(/ROWSMITH_S3_BUCKET/);
});
