import { scheduleNames } from '@rowsmith/contracts';
import { describe, expect, it } from 'vitest';
import { learningRate, type ScheduleInput, warmupSteps } from './schedule.js';

const base: ScheduleInput = { schedule: 'constant', peak: 1e-4, totalSteps: 10, stepsPerEpoch: 4, warmupRatio: 0, minLrRatio: 0 };
const rates = (input: Partial<ScheduleInput>, steps = 10) =>
  Array.from({ length: steps }, (_, step) => learningRate(step, { ...base, ...input }));
const close = (actual: number[], expected: number[]) => {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 12);
};

describe('learningRate', () => {
  it('constant', () => close(rates({}), Array(10).fill(1e-4)));

  it('linear falls by the same amount each step, to peak/totalSteps', () =>
    close(rates({ schedule: 'linear', peak: 1 }), [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]));

  it('linear with a floor of 0.5', () =>
    close(rates({ schedule: 'linear', peak: 1, totalSteps: 4, minLrRatio: 0.5 }, 4), [1, 0.875, 0.75, 0.625]));

  // (1 + cos(pi t)) / 2 at t = 0, 1/4, 1/2, 3/4
  it('cosine', () =>
    close(rates({ schedule: 'cosine', peak: 1, totalSteps: 4 }, 4), [1, (1 + Math.SQRT1_2) / 2, 0.5, (1 - Math.SQRT1_2) / 2]));

  // torch.optim.lr_scheduler.StepLR(step_size=1, gamma=0.85), one epoch = 1 step: 1e-4, 8.5e-5, 7.225e-5
  it('step: x 0.85 per data epoch', () => {
    close(rates({ schedule: 'step', stepsPerEpoch: 1 }, 3), [1e-4, 8.5e-5, 7.225e-5]);
    close(rates({ schedule: 'step', stepsPerEpoch: 2 }, 5), [1e-4, 1e-4, 8.5e-5, 8.5e-5, 7.225e-5]);
    close(rates({ schedule: 'step', stepsPerEpoch: 1, minLrRatio: 0.8 }, 3), [1e-4, 8.5e-5, 8e-5]);
  });

  // 25 % of 8 steps = 2: 1/3, 2/3 of the peak, then the full peak at the first step after
  it('warm-up rises linearly and the decay starts at the peak', () =>
    close(rates({ schedule: 'linear', peak: 1, totalSteps: 8, warmupRatio: 0.25 }, 8), [
      1 / 3,
      2 / 3,
      1,
      5 / 6,
      4 / 6,
      3 / 6,
      2 / 6,
      1 / 6,
    ]));

  it('is positive, at most the peak and at least the floor after the warm-up, for every schedule', () => {
    for (const schedule of scheduleNames)
      for (const warmupRatio of [0, 0.07, 0.5, 1])
        for (const totalSteps of [1, 2, 3, 17]) {
          const warmup = Math.ceil(warmupRatio * totalSteps);
          for (let step = 0; step < totalSteps; step++) {
            const rate = learningRate(step, { ...base, schedule, totalSteps, warmupRatio, minLrRatio: 0.1 });
            expect(rate).toBeGreaterThan(0);
            expect(rate).toBeLessThanOrEqual(1e-4);
            if (step >= warmup) expect(rate).toBeGreaterThanOrEqual(1e-5);
          }
        }
  });
});

it('warmupSteps rounds up, but not rounding errors', () => {
  expect(warmupSteps({ warmupRatio: 0.07, totalSteps: 100 })).toBe(7);
  expect(warmupSteps({ warmupRatio: 0.07, totalSteps: 101 })).toBe(8);
  expect(warmupSteps({ warmupRatio: 0, totalSteps: 10 })).toBe(0);
});
