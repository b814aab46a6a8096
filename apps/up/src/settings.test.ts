import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { readUpSettings, UpSettingsError } from './settings.js';

test('defaults: this machine only, port 8080, data beside the project', () => {
  expect(readUpSettings([], {})).toEqual({
    host: '127.0.0.1',
    port: 8080,
    dataDir: resolve('.rowsmith'),
    apiKey: null,
    databaseUrl: null,
    redisUrl: null,
    json: false,
  });
});

test('flags win over the environment; empty environment values are absent', () => {
  const env = { ROWSMITH_PORT: '9000', ROWSMITH_DATA: '/a', ROWSMITH_API_KEY: '', ROWSMITH_HOST: '0.0.0.0' };
  expect(readUpSettings(['--port', '0', '--json'], env)).toMatchObject({
    port: 0,
    dataDir: '/a',
    apiKey: null,
    host: '0.0.0.0',
    json: true,
  });
});

test('all faults are reported at once', () => {
  const read = () => readUpSettings(['--port', '99999', '--api-key', 'a b'], { DATABASE_URL: 'mysql://x', REDIS_URL: 'nonsense' });
  expect(read).toThrow(UpSettingsError);
  try {
    read();
  } catch (error) {
    expect((error as UpSettingsError).faults).toHaveLength(4);
  }
});

test('an unknown flag is refused by name', () => {
  expect(() => readUpSettings(['--prot', '1'], {})).toThrow(/--prot/);
});

test('a bucket is named whole or the start is refused', () => {
  expect(() => readUpSettings([], { ROWSMITH_STORAGE: 's3' })).toThrow(/ROWSMITH_S3_BUCKET/);
  expect(readUpSettings([], { ROWSMITH_STORAGE: 's3', ROWSMITH_S3_BUCKET: 'objects' })).toMatchObject({ port: 8080 });
});
