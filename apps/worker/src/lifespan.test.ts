import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Lifespan } from './lifespan.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('ends after the last attempt, not before', async () => {
  const lifespan = new Lifespan({ maxRuns: 2, maxIdleMs: 0 });
  await lifespan.during(async () => {});
  expect(lifespan.over.aborted).toBe(false);
  await expect(lifespan.during(() => Promise.reject(new Error('failed attempts count too')))).rejects.toThrow('failed');
  expect(lifespan.over.aborted).toBe(true);
});

test('ends when no job came for long enough; an attempt, however long, is not idleness', async () => {
  const lifespan = new Lifespan({ maxRuns: 0, maxIdleMs: 1_000 });
  vi.advanceTimersByTime(900);
  let finish = () => {};
  const attempt = lifespan.during(() => new Promise<void>((resolve) => (finish = resolve)));
  vi.advanceTimersByTime(60_000);
  expect(lifespan.over.aborted).toBe(false);
  finish();
  await attempt;
  vi.advanceTimersByTime(999);
  expect(lifespan.over.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect(lifespan.over.aborted).toBe(true);
});

test('without limits it never ends', async () => {
  const lifespan = new Lifespan({ maxRuns: 0, maxIdleMs: 0 });
  await lifespan.during(async () => {});
  vi.advanceTimersByTime(1e9);
  expect(lifespan.over.aborted).toBe(false);
});
