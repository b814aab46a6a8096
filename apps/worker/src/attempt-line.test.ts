import { expect, test } from 'vitest';
import { type AttemptFacts, attemptLine } from './attempt-line.js';

const facts: AttemptFacts = {
  ...{ jobId: 'ftjob-1', epoch: 2, outcome: 'succeeded', failure: null, stop: null, step: 9, totalSteps: 9, beganAt: 1000, endedAt: 1900 },
  phases: [
    { name: 'training', at: 1100 },
    { name: 'sampling', at: 1500 },
    { name: 'training', at: 1550 },
  ],
  exit: { code: 0, signal: null, output: 'a path: /x' },
};

test('phases add up; what a trainer printed is told only when it failed', () => {
  const line = attemptLine(facts);
  expect(line).toMatchObject({
    op: 'attempt',
    outcome: 'succeeded',
    durationMs: 900,
    phaseMs: { training: 750, sampling: 50 },
    exitCode: 0,
  });
  expect(line).not.toHaveProperty('trainerOutput');
  const failure = { class: 'infra', code: 'disk_full', message: 'no space', param: null } as const;
  expect(attemptLine({ ...facts, outcome: 'retry', failure })).toMatchObject({ errorCode: 'disk_full', trainerOutput: 'a path: /x' });
});
