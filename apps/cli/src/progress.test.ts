import { advance, noProgress, secondsLeft } from '@rowsmith/client';
import type { JobEvent } from '@rowsmith/contracts';
import { expect, test } from 'vitest';
import { formatSeconds, progressText } from './progress.js';

const event = (type: JobEvent['type'], data: Record<string, unknown>): JobEvent => ({
  object: 'fine_tuning.job.event',
  id: 'ftevent-x',
  created_at: 0,
  level: 'info',
  message: '',
  type,
  data,
});

test('metrics move the bar; the rates are exponential means from the second step on', () => {
  const step = (p: typeof noProgress, n: number, tokens: number) =>
    advance(p, event('metrics', { step: n, total_steps: 12, train_loss: 3 - n, tokens, seconds: 1 }));
  const first = step(noProgress, 1, 10);
  expect(first).toMatchObject({ step: 1, totalSteps: 12, trainLoss: 2, tokensPerSecond: 10, secondsPerStep: 1 });
  const second = step(first, 2, 100);
  expect(second.tokensPerSecond).toBe(100);
  const third = step(second, 3, 200);
  expect(third.tokensPerSecond).toBeCloseTo(120);
  expect(secondsLeft(third)).toBeCloseTo(9);
  expect(progressText(third)).toBe('loss 0.0000  120 tokens/s  9s left');
});

test('an evaluation adds the validation loss and leaves the rest', () => {
  const p = advance({ ...noProgress, trainLoss: 1, step: 4 }, event('metrics', { step: 4, valid_loss: 0.5, train_loss: null }));
  expect(progressText(p)).toBe('loss 1.0000  valid 0.5000  - tokens/s  - left');
});

test('phases are kept, other messages change nothing', () => {
  expect(advance(noProgress, event('message', { type: 'phase', phase: 'scoring' })).phase).toBe('scoring');
  expect(advance(noProgress, event('message', { type: 'job.queued' }))).toEqual(noProgress);
});

test('durations read as people write them', () => {
  expect([null, 5, 65, 3725].map(formatSeconds)).toEqual(['-', '5s', '1m05s', '1h02m']);
});
