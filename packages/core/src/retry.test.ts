import { expect, test } from 'vitest';
import { decideAfterFailure, maxBarrenAttempts } from './retry.js';

const barren = (barrenBefore: number) => ({ barrenBefore, advanced: false });

test('infrastructure failures are retried with a growing pause until three in a row made no checkpoint', () => {
  expect(decideAfterFailure({ class: 'infra' }, barren(0))).toEqual({ kind: 'retry', barrenAttempts: 1, delayMs: 500 });
  expect(decideAfterFailure({ class: 'infra' }, barren(1))).toEqual({ kind: 'retry', barrenAttempts: 2, delayMs: 2000 });
  expect(decideAfterFailure({ class: 'infra' }, barren(maxBarrenAttempts - 1))).toEqual({ kind: 'fail', class: 'poison', code: 'poison' });
});

test('an attempt that made a newer checkpoint starts the count again, however many failed before it', () => {
  for (const barrenBefore of [0, 1, 2]) {
    expect(decideAfterFailure({ class: 'infra' }, { barrenBefore, advanced: true })).toEqual({
      kind: 'retry',
      barrenAttempts: 0,
      delayMs: 500,
    });
  }
});

test('what would fail again the same way is not retried', () => {
  for (const failureClass of ['user', 'precheck', 'poison'] as const) {
    expect(decideAfterFailure({ class: failureClass }, barren(0))).toEqual({ kind: 'fail', class: failureClass, code: null });
  }
});
