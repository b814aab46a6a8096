import type { EncodedExample } from '@rowsmith/contracts';
import { expect, it } from 'vitest';
import { largestMicroBatch } from './fit-memory.js';
import { machineMemory } from './machine-memory.js';

/** The last `labelled` of `length` tokens count. */
const example = (length: number, labelled: number): EncodedExample => ({
  ids: new Int32Array(length),
  labels: Int32Array.from({ length }, (_, t) => (t < length - labelled ? -100 : 0)),
});
const examples = [example(5, 4), example(30, 3), example(7, 7), example(20, 2)];

it('the largest micro-batch: the longest examples together, or as many rows as long as the longest', () => {
  expect(largestMicroBatch(examples, 2, true)).toEqual({ tokens: 50, length: 50, labelled: 11 });
  expect(largestMicroBatch(examples, 2, false)).toEqual({ tokens: 60, length: 30, labelled: 11 });
  expect(largestMicroBatch(examples, 9, true)).toEqual({ tokens: 62, length: 62, labelled: 16 });
});

it('ROWSMITH_MEMORY_MB limits the process as a whole; nonsense is refused', () => {
  const { residentBytes, availableBytes } = machineMemory('100000');
  expect(availableBytes).toBeLessThanOrEqual(100000 * 2 ** 20 - residentBytes);
  expect(machineMemory('1').availableBytes).toBe(0);
  expect(machineMemory(undefined).availableBytes).toBeGreaterThan(0);
  expect(() => machineMemory('lots')).toThrow(expect.objectContaining({ code: 'invalid_environment' }));
});
