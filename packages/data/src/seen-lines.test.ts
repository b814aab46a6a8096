import { expect, test } from 'vitest';
import { SeenLines } from './seen-lines.js';

test('counts what was there before, through all sizes of the table', () => {
  const seen = new SeenLines();
  for (let round = 0; round < 3; round++) for (let i = 0; i < 20_000; i++) seen.add(`line ${i}`);
  expect(seen).toMatchObject({ duplicates: 40_000, complete: true });
});

test('a full table goes on with a lower bound', () => {
  const seen = new SeenLines(1024);
  for (let round = 0; round < 2; round++) for (let i = 0; i < 1_000; i++) seen.add(String(i));
  expect(seen.complete).toBe(false);
  expect(seen.duplicates).toBeGreaterThanOrEqual(500);
  expect(seen.duplicates).toBeLessThan(1_000);
});
