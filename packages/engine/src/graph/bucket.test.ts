import { expect, it } from 'vitest';
import { bucketed, bucketOf } from './bucket.js';
import { chooseExecution } from './execution.js';

it('sizes grow in quarters of the power of two below, or in halves', () => {
  expect([1, 16, 17, 21, 32, 33, 41, 256, 257, 300, 1000].map((n) => bucketOf(n, 4))).toEqual([
    16, 16, 20, 24, 32, 40, 48, 256, 320, 320, 1024,
  ]);
  expect([5, 17, 25, 1020].map((n) => bucketOf(n, 2))).toEqual([16, 24, 32, 1024]);
});

const ids = Int32Array.from({ length: 34 }, (_, i) => i + 1);
const labelled = { rows: Int32Array.of(3, 20), labels: Int32Array.of(7, 8), scale: Float32Array.of(0.5) };

it('padded sequences keep their places, added rows have no gradient', () => {
  const wide = bucketed({ size: 2, length: 17, longest: 17, ids, ...labelled }, 100, () => true);
  expect(wide.length).toBe(20);
  expect([...wide.ids.subarray(0, 20)]).toEqual([...ids.subarray(0, 17), 0, 0, 0]);
  expect([...wide.ids.subarray(20)]).toEqual([...ids.subarray(17), 0, 0, 0]);
  expect([...wide.rows.subarray(0, 3)]).toEqual([3, 23, 0]);
  expect([...wide.scale]).toEqual([0.5, 0.5, ...new Array(14).fill(0)]);
});

it('packed ones are followed by sequences of one token', () => {
  const packed = { positions: ids.map((_, i) => (i < 30 ? i : i - 30)), starts: ids.map((_, i) => (i < 30 ? 0 : 30)) };
  const wide = bucketed({ size: 1, length: 34, longest: 30, ids, ...labelled, packed }, 30, () => true);
  expect(wide.length).toBe(40);
  expect([...(wide.packed?.starts.subarray(32) ?? [])]).toEqual([30, 30, 34, 35, 36, 37, 38, 39]);
  expect([...(wide.packed?.positions.subarray(33) ?? [])]).toEqual([3, 0, 0, 0, 0, 0, 0]);
});

it('no sequence grows beyond the model or into another rotation', () => {
  const inputs = { size: 2, length: 17, longest: 17, ids, ...labelled };
  expect(bucketed(inputs, 18, () => true).length).toBe(18);
  expect(bucketed(inputs, 100, () => false).length).toBe(17);
});

it('a GPU computes by graphs unless something else is asked for', () => {
  expect(chooseExecution('auto', 'cuda')).toBe('graph');
  expect(chooseExecution('auto', 'cpu')).toBe('eager');
  expect(chooseExecution('eager', 'cuda')).toBe('eager');
  expect(chooseExecution('graph', 'cpu')).toBe('graph');
});
