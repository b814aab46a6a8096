import { expect, test } from 'vitest';
import { decideAfterFailure, maxBarrenAttempts } from './retry.js';

test('infrastructure failures are retried with a growing pause until three in a row made no checkpoint', () => {
  expect(decideAfterFailure({ class: 'infra' }, 0)).toEqual({ kind: 'retry', barrenAttempts: 1, delayMs: 500 });
  expect(decideAfterFailure({ class: 'infra' }, 1)).toEqual({ kind: 'retry', barrenAttempts: 2, delayMs: 2000 });
  expect(decideAfterFailure({ class: 'infra' }, maxBarrenAttempts - 1)).toEqual({ kind: 'fail', class: 'poison', code: 'poison' });
});

test('what would fail again the same way is not retried', () => {
  for (const failureClass of ['user', 'precheck', 'poison'] as const) {
    expect(decideAfterFailure({ class: failureClass }, 0)).toEqual({ kind: 'fail', class: failureClass, code: null });
  }
});
