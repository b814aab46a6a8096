import { expect, test } from 'vitest';
import { earlyStopEvent, sampleEvent } from './trainer-events.js';

test('an early stop says after how many evaluations, and which step was best', () => {
  const message = { type: 'early_stop', step: 1200, evaluations: 3, best_step: 900, best_valid_loss: 0.51236 } as const;
  expect(earlyStopEvent(message)).toEqual({
    level: 'info',
    type: 'early_stop',
    message: 'Stopped early after step 1,200: validation loss has not improved in 3 evaluations; the lowest is 0.5124, after step 900',
    data: { step: 1200, evaluations: 3, best_step: 900, best_valid_loss: 0.51236 },
  });
  expect(earlyStopEvent({ ...message, best_step: null, best_valid_loss: null }).message).toMatch(/in 3 evaluations$/);
});

test('a sample says when it was taken', () => {
  const sample = { type: 'sample', step: 40, prompt: 'q', completion: 'a' } as const;
  expect(sampleEvent({ ...sample, when: 'during' })).toMatchObject({ message: 'Sample at step 40: a', data: { when: 'during', step: 40 } });
  expect(sampleEvent({ ...sample, when: 'before' }).message).toBe('Sample before training: a');
});
