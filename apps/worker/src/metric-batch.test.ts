import type { MetricPoint } from '@rowsmith/contracts';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MetricBatch } from './metric-batch.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});
const point = (step: number) => ({ step }) as MetricPoint;

test('the first point sets the time of the flush; each point is taken once', () => {
  const flush = vi.fn();
  const batch = new MetricBatch(flush, 250);
  batch.add(point(1));
  vi.advanceTimersByTime(200);
  batch.add(point(2));
  expect(flush).not.toHaveBeenCalled();
  vi.advanceTimersByTime(50);
  expect(flush).toHaveBeenCalledTimes(1);
  expect(batch.take()).toEqual([point(1), point(2)]);
  expect(batch.take()).toEqual([]);
  batch.add(point(3));
  expect(batch.take()).toEqual([point(3)]);
  vi.advanceTimersByTime(1000);
  expect(flush).toHaveBeenCalledTimes(1);
});
