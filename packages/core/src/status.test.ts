import { jobStatuses } from '@rowsmith/contracts';
import { expect, test } from 'vitest';
import { canMove, finalStatuses, isFinal } from './status.js';

test('exactly the final statuses have no way out, and every other can be cancelled', () => {
  expect(jobStatuses.filter(isFinal)).toEqual([...finalStatuses]);
  for (const status of jobStatuses) expect(canMove(status, 'cancelled'), status).toBe(!isFinal(status));
});

test('a job runs only from the queue, and a lost attempt goes back into it', () => {
  expect(jobStatuses.filter((from) => canMove(from, 'running'))).toEqual(['queued']);
  expect(canMove('running', 'queued')).toBe(true);
  expect(canMove('paused', 'running')).toBe(false);
});
