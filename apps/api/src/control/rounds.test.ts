import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startRounds } from './rounds.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Times of rounds, and the rounds. */
function rounds() {
  const at: number[] = [];
  const begin = performance.now();
  const running = startRounds(async () => {
    at.push(Math.round(performance.now() - begin));
    return 'enough';
  }, 2_000);
  return { at, running };
}

test('the first nudge counts at once, those that follow share a round', async () => {
  const { at, running } = rounds();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(at).toEqual([0]);
  running.nudge();
  for (let i = 0; i < 50; i += 1) {
    await vi.advanceTimersByTimeAsync(2);
    running.nudge();
  }
  expect(at).toEqual([0, 1_000, 1_100]);
  await vi.advanceTimersByTimeAsync(2_200);
  expect(at).toEqual([0, 1_000, 1_100, 1_200, 3_200]);
  await running.stop();
});

test('a stop does not wait for the pause after a nudge', async () => {
  const { at, running } = rounds();
  await vi.advanceTimersByTimeAsync(1_000);
  running.nudge();
  await vi.advanceTimersByTimeAsync(1);
  running.nudge();
  await vi.advanceTimersByTimeAsync(1);
  await running.stop();
  expect(at).toEqual([0, 1_000]);
});
