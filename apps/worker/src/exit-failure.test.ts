import { expect, test } from 'vitest';
import { failureOfExit, oomKillCount } from './exit-failure.js';

test.each([
  [{ code: null, signal: 'SIGKILL' as const }, 1, 'infra', 'out_of_memory'],
  [{ code: null, signal: 'SIGKILL' as const }, 0, 'infra', 'trainer_killed'],
  // A segmentation fault is not explained by a kill elsewhere.
  [{ code: null, signal: 'SIGSEGV' as const }, 1, 'infra', 'trainer_killed'],
  [{ code: 1, signal: null }, 0, 'infra', 'trainer_crashed'],
  [{ code: 0, signal: null }, 0, 'infra', 'trainer_crashed'],
  [{ code: 20, signal: null }, 0, 'infra', 'trainer_crashed'],
  [{ code: 10, signal: null }, 0, 'user', 'trainer_failed'],
  [{ code: null, signal: null }, 0, 'infra', 'trainer_not_started'],
])('%o with %i out-of-memory kills is %s %s', (exit, oomKills, errorClass, code) => {
  expect(failureOfExit(exit, oomKills)).toMatchObject({ class: errorClass, code });
});

test("the kernel's counter", () => {
  expect(oomKillCount('nr_free_pages 5\noom_kill 12\ndrop_pagecache 0\n')).toBe(12);
  expect(oomKillCount('')).toBe(0);
});
