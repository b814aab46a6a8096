import { expect, it } from 'vitest';
import { openEngine } from '../engine.js';
import { runInNewProcess } from '../testing/run-in-new-process.js';
import { eventsText, stateFromText, uninterrupted } from './toy-run.js';

/** Accumulation 2, stopped inside the window of step 5 in the middle of an epoch; three processes in all. */
it('k steps, a kill in a window, n steps in a new process: byte for byte the uninterrupted run', async () => {
  const toy = new URL('./toy-run.ts', import.meta.url);
  const whole = await uninterrupted(await openEngine());
  const saved = await runInNewProcess(toy, 'firstPart');
  const state = stateFromText(saved);
  expect(state.step).toBe(4);
  expect(state.cursor).toMatchObject({ epoch: 1, position: 4, evaluated_step: 4 });
  const rest = await runInNewProcess(toy, 'secondPart', saved);
  const fromStep5 = whole.findIndex((event) => event.type === 'step' && event.point.step === 5);
  expect(whole.slice(fromStep5).map(({ type }) => type)).toEqual([
    'step',
    'step',
    'evaluation',
    'step',
    'step',
    'evaluation',
    'step',
    'evaluation',
    'done',
  ]);
  expect(rest).toBe(eventsText(whole.slice(fromStep5)));
});
