import { expect, test } from 'vitest';
import { maxDeliveryAttempts, retryDelaySeconds } from './retry-delay.js';

test('waits grow from seconds to a day and end', () => {
  const waits = Array.from({ length: maxDeliveryAttempts - 1 }, (_, i) => retryDelaySeconds(i + 1, 'evt_1') ?? 0);
  expect(waits).toEqual([...waits].sort((a, b) => a - b));
  expect(waits[0]).toBeGreaterThanOrEqual(5);
  expect(waits[0]).toBeLessThan(5.5);
  expect(waits.reduce((sum, wait) => sum + wait, 0)).toBeGreaterThan(48 * 3600);
  expect(retryDelaySeconds(maxDeliveryAttempts, 'evt_1')).toBeNull();
});

test('the same delivery waits the same time, others spread', () => {
  const waits = Array.from({ length: 100 }, (_, i) => retryDelaySeconds(2, `evt_${i}`) ?? 0);
  expect(retryDelaySeconds(2, 'evt_7')).toBe(waits[7]);
  expect(new Set(waits).size).toBeGreaterThan(50);
  for (const wait of waits) expect(wait).toBeLessThan(330);
});

test('a receiver may ask for more time, up to a day', () => {
  expect(retryDelaySeconds(1, 'e', 600)).toBe(600);
  expect(retryDelaySeconds(1, 'e', 1e9)).toBe(86_400);
  expect(retryDelaySeconds(2, 'e', 1)).toBeGreaterThanOrEqual(300);
});
