import { availableParallelism } from 'node:os';
import { expect, test } from 'vitest';
import { cacheFolder } from './cache-folder.js';
import { applyEnvironment, threadCount, trainerEnvironment } from './environment.js';

test('threads come from ROWSMITH_THREADS, else from the cores', () => {
  expect(threadCount({ ROWSMITH_THREADS: '3' })).toBe(3);
  expect(threadCount({})).toBe(availableParallelism());
  expect(threadCount({ ROWSMITH_THREADS: '' })).toBe(availableParallelism());
  for (const wrong of ['0', '-1', '1.5', 'many', '2000'])
    expect(() => threadCount({ ROWSMITH_THREADS: wrong })).toThrow(/ROWSMITH_THREADS/);
});

test('the environment keeps what the operator set', () => {
  const env: NodeJS.ProcessEnv = { TF_CPP_MIN_LOG_LEVEL: '0' };
  applyEnvironment(trainerEnvironment(5), env);
  expect(env['TF_CPP_MIN_LOG_LEVEL']).toBe('0');
  expect(env['TF_NUM_INTRAOP_THREADS']).toBe('5');
  expect(env['OMP_NUM_THREADS']).toBe('5');
  expect(env['TF_NUM_INTEROP_THREADS']).toBe('1');
});

test('the cache folder follows ROWSMITH_CACHE, then XDG_CACHE_HOME, then HOME', () => {
  expect(cacheFolder({ ROWSMITH_CACHE: '/a/b', XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/a/b');
  expect(cacheFolder({ XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/x/rowsmith');
  expect(cacheFolder({ HOME: '/h' })).toBe('/h/.cache/rowsmith');
});
