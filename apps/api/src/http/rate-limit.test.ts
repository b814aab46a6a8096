import { expect, test } from 'vitest';
import { duration } from './rate-limit.js';

test.each([
  [0, '0ms'],
  [249.1, '250ms'],
  [1000, '1s'],
  [58_001, '59s'],
  [59_001, '1m0s'],
  [60_000, '1m0s'],
  [90_000, '1m30s'],
])('%d ms is written %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});
