import { describe, expect, it } from 'vitest';
import { epochsDone, planSteps, stepWindow } from './plan-steps.js';

describe('planSteps', () => {
  it.each([
    [{ examples: 8, batch: 2, accumulation: 2, epochs: 3, maxSteps: 0 }, 2, 6],
    // 10 examples in steps of 4: 4 + 4 + 2
    [{ examples: 10, batch: 2, accumulation: 2, epochs: 2, maxSteps: 0 }, 3, 6],
    [{ examples: 1, batch: 8, accumulation: 4, epochs: 1, maxSteps: 0 }, 1, 1],
    // max_steps wins in both directions
    [{ examples: 10, batch: 1, accumulation: 1, epochs: 1, maxSteps: 3 }, 10, 3],
    [{ examples: 2, batch: 1, accumulation: 1, epochs: 1, maxSteps: 7 }, 2, 7],
  ])('%j', (input, stepsPerEpoch, totalSteps) => {
    expect(planSteps(input)).toEqual({ stepsPerEpoch, totalSteps });
  });

  it('refuses counts that are no counts', () => {
    const good = { examples: 1, batch: 1, accumulation: 1, epochs: 1, maxSteps: 0 };
    for (const name of ['examples', 'batch', 'accumulation', 'epochs'] as const)
      for (const value of [0, -1, 1.5, Number.NaN]) expect(() => planSteps({ ...good, [name]: value })).toThrow(name);
    expect(() => planSteps({ ...good, maxSteps: -1 })).toThrow('maxSteps');
  });
});

describe('stepWindow', () => {
  it('covers every example of every epoch exactly once', () => {
    for (const shape of [
      { examples: 10, batch: 2, accumulation: 2 },
      { examples: 7, batch: 3, accumulation: 1 },
      { examples: 4, batch: 4, accumulation: 1 },
      { examples: 3, batch: 2, accumulation: 5 },
    ]) {
      const { totalSteps } = planSteps({ ...shape, epochs: 2, maxSteps: 0 });
      const seen = Array.from({ length: totalSteps }, (_, step) => stepWindow(step, shape)).flatMap(({ epoch, first, last }) =>
        Array.from({ length: last - first }, (_, i) => `${epoch}:${first + i}`),
      );
      const expected = [0, 1].flatMap((epoch) => Array.from({ length: shape.examples }, (_, i) => `${epoch}:${i}`));
      expect(seen).toEqual(expected);
    }
  });
});

it('epochsDone counts examples, so a small last step is a small part of the epoch', () => {
  const shape = { examples: 10, batch: 2, accumulation: 2 };
  expect([0, 1, 2, 3, 4].map((steps) => epochsDone(steps, shape))).toEqual([0, 0.4, 0.8, 1, 1.4]);
});
