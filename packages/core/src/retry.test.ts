import { describe, expect, test } from 'vitest';
import { decideAfterFailure, maxBarrenAttempts, maxLostAttempts } from './retry.js';

const killed = { class: 'infra', code: 'trainer_killed' } as const;
const storeAway = { class: 'infra', code: 'storage_unavailable' } as const;
const lost = { class: 'infra', code: 'worker_lost' } as const;
const progress = (barrenBefore: number, failed = barrenBefore, lostBefore = 0) => ({
  ...{ barrenBefore, advanced: false, sinceProgress: { failed, lost: lostBefore } },
});
const poison = { kind: 'fail', class: 'poison', code: 'poison' };

test('a trainer that died is tried again with a growing pause until three in a row made no checkpoint', () => {
  expect(decideAfterFailure(killed, progress(0))).toEqual({ kind: 'retry', barrenAttempts: 1, delayMs: 500 });
  expect(decideAfterFailure(killed, progress(1))).toEqual({ kind: 'retry', barrenAttempts: 2, delayMs: 2000 });
  expect(decideAfterFailure(killed, progress(maxBarrenAttempts - 1))).toEqual(poison);
});

describe('what is broken around the trainer is no evidence against the job', () => {
  test('a store that is away is tried again for ever, at most a minute apart', () => {
    expect(decideAfterFailure(storeAway, progress(0, 2))).toEqual({ kind: 'retry', barrenAttempts: 0, delayMs: 8000 });
    expect(decideAfterFailure(storeAway, progress(0, 1000))).toEqual({ kind: 'retry', barrenAttempts: 0, delayMs: 60_000 });
  });
  test('it neither adds to deaths before it nor forgives them', () => {
    expect(decideAfterFailure(storeAway, progress(2, 5))).toMatchObject({ kind: 'retry', barrenAttempts: 2 });
    expect(decideAfterFailure(killed, progress(2, 6))).toEqual(poison);
  });
  test.each(['disk_full', 'disk_error', 'network', 'no_scratch_space', 'storage_full', 'trainer_not_started'])('%s', (code) => {
    expect(decideAfterFailure({ class: 'infra', code }, progress(2, 2))).toMatchObject({ kind: 'retry', barrenAttempts: 2 });
  });
});

test.each(['trainer_crashed', 'out_of_memory', 'trainer_silent', 'internal', 'export_differs'])('%s is evidence', (code) =>
  expect(decideAfterFailure({ class: 'infra', code }, progress(2))).toEqual(poison),
);

describe('workers that are lost', () => {
  test('are no evidence for long, since machines are taken away for reasons of their own', () => {
    expect(decideAfterFailure(lost, progress(0, 8, maxLostAttempts - 2))).toMatchObject({ kind: 'retry', barrenAttempts: 0 });
    expect(decideAfterFailure(lost, progress(0, 9, maxLostAttempts - 1))).toEqual(poison);
  });
  test('do not make a store that is away poison', () => {
    expect(decideAfterFailure(storeAway, progress(0, 20, maxLostAttempts + 5))).toMatchObject({ kind: 'retry' });
  });
});

test('an attempt that made a newer checkpoint starts the count again, however many failed before it', () => {
  for (const failure of [killed, storeAway, lost])
    for (const barrenBefore of [0, 1, 2])
      expect(decideAfterFailure(failure, { ...progress(barrenBefore, 40, 40), advanced: true })).toEqual({
        ...{ kind: 'retry', barrenAttempts: 0, delayMs: 500 },
      });
});

test('what would fail again the same way is not retried', () => {
  for (const failureClass of ['user', 'precheck', 'poison'] as const)
    expect(decideAfterFailure({ class: failureClass, code: 'x' }, progress(0))).toEqual({ kind: 'fail', class: failureClass, code: null });
});
