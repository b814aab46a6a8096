import { jobStatuses } from '@rowsmith/contracts';
import { expect, test } from 'vitest';
import { canMove, finalStatuses, heldStatuses, isFinal, sourcesOf } from './status.js';

test('exactly the final statuses have no way out, and every other can be cancelled', () => {
  expect(jobStatuses.filter(isFinal)).toEqual([...finalStatuses]);
  for (const status of jobStatuses) expect(canMove(status, 'cancelled'), status).toBe(!isFinal(status));
});

test('a job runs only from the queue, and a lost attempt goes back into it', () => {
  expect(jobStatuses.filter((from) => canMove(from, 'running'))).toEqual(['queued']);
  expect(canMove('running', 'queued')).toBe(true);
  expect(canMove('paused', 'running')).toBe(false);
});

test('an attempt holds a job from its begin until its end, also while a pause is on its way', () => {
  expect(heldStatuses).toEqual(['running', 'pausing']);
  expect(sourcesOf('running')).toEqual(['queued']);
  expect(sourcesOf('paused')).toEqual(['queued', 'pausing']);
});
