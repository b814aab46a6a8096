import { describe, expect, it } from 'vitest';
import { afterEvaluation, fromNumbers, noEvaluations, stopsEarly, toNumbers, type ValidationRecord } from './validation-record.js';

/** One evaluation every 10 steps. */
const after = (losses: readonly (number | null)[], minDelta = 0): ValidationRecord =>
  losses.reduce<ValidationRecord>((record, loss, i) => afterEvaluation(record, 10 * (i + 1), loss, minDelta), noEvaluations);

describe('validation record', () => {
  it('best is the lowest loss, of equal ones the earlier', () => {
    expect(after([3, 2, 2, 4]).best).toEqual({ step: 20, loss: 2 });
    expect(after([null, 5]).best).toEqual({ step: 20, loss: 5 });
    expect(after([]).best).toBeNull();
  });

  it('counts evaluations without improvement in a row; an equal loss is none', () => {
    expect(after([3, 2, 2, 4]).withoutImprovement).toBe(2);
    expect(after([3, 2, 2, 1.9]).withoutImprovement).toBe(0);
    expect(after([3, null, null]).withoutImprovement).toBe(2);
  });

  it('a fall of less than min_delta is no improvement, but falls add up and the best is still the lowest', () => {
    const slow = after([3, 2.95, 2.92, 2.85], 0.1);
    expect(slow).toMatchObject({ withoutImprovement: 0, referenceLoss: 2.85, best: { step: 40, loss: 2.85 } });
    expect(after([3, 2.95, 2.92], 0.1)).toMatchObject({ withoutImprovement: 2, referenceLoss: 3, best: { step: 30 } });
    expect(after([3, 2.5], 0.5).withoutImprovement).toBe(0);
  });

  it('stops at `patience` of them; 0 never', () => {
    expect(stopsEarly(after([3, 4, 4]), 2)).toBe(true);
    expect(stopsEarly(after([3, 4]), 2)).toBe(false);
    expect(stopsEarly(after([3, 4, 4, 4, 4]), 0)).toBe(false);
  });

  it('goes through a cursor and back; a cursor without it is a start', () => {
    for (const record of [after([]), after([null]), after([3, 2, 2.5], 0.1)]) expect(fromNumbers(toNumbers(record))).toEqual(record);
    expect(fromNumbers({ epoch: 1 })).toEqual(noEvaluations);
  });
});
