import { expect, test } from 'vitest';
import { parseRange } from './byte-range.js';

test.each([
  ['bytes=0-0', { start: 0, end: 0 }],
  ['bytes=2-', { start: 2, end: 9 }],
  ['bytes=2-100', { start: 2, end: 9 }],
  ['bytes=-3', { start: 7, end: 9 }],
  ['bytes=-30', { start: 0, end: 9 }],
  ['bytes=10-', 'unsatisfiable'],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=5-2', null],
  ['bytes=0-1,4-5', null],
  ['lines=0-1', null],
  ['bytes=-', null],
  [undefined, null],
])('%s of 10 bytes', (header, expected) => {
  expect(parseRange(header, 10)).toEqual(expected);
});

test('nothing of an empty object can be asked for', () => {
  expect(parseRange('bytes=0-', 0)).toBe('unsatisfiable');
});
