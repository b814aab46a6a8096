import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Persistence } from './persistence.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('writes keep their order though the first fails for a while', async () => {
  const persistence = new Persistence(60_000, () => expect.unreachable());
  const done: string[] = [];
  let failures = 5;
  persistence.add(async () => {
    if (failures-- > 0) throw new Error('connection refused');
    done.push('first');
  });
  persistence.add(async () => void done.push('second'));
  const idle = persistence.idle();
  await vi.advanceTimersByTimeAsync(30_000);
  await idle;
  expect(done).toEqual(['first', 'second']);
});

test('gives up after its patience, and drops what is closed over', async () => {
  const giveUp = vi.fn();
  const persistence = new Persistence(10_000, giveUp);
  const write = vi.fn(() => Promise.reject(new Error('connection refused')));
  persistence.add(write);
  const idle = persistence.idle();
  await vi.advanceTimersByTimeAsync(9_000);
  expect(giveUp).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(10_000);
  await idle;
  expect(giveUp).toHaveBeenCalledTimes(1);

  persistence.close();
  const calls = write.mock.calls.length;
  persistence.add(write);
  await persistence.idle();
  expect(write).toHaveBeenCalledTimes(calls);
});

test('idle waits for what is added meanwhile', async () => {
  const persistence = new Persistence(1000, () => undefined);
  const done: number[] = [];
  persistence.add(async () => {
    done.push(1);
    persistence.add(async () => void done.push(2));
  });
  await persistence.idle();
  expect(done).toEqual([1, 2]);
});
