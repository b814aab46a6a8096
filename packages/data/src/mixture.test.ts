import { expect, test } from 'vitest';
import type { EncodedDataset } from './encode.js';
import { heldOutOf, holdOut, weighted, weightedRows } from './mixture.js';
import { hashOfText } from './seen-lines.js';

/** Two examples for every third row, as templates make them; example i has the one token i. */
function dataset(lines: readonly string[]): EncodedDataset {
  const exampleRows = lines.flatMap((_, row) => (row % 3 === 0 ? [row, row] : [row]));
  const examples = exampleRows.map((_, i) => ({ ids: Int32Array.of(7, i), labels: Int32Array.of(-100, i) }));
  const counts = { rows: lines.length, examples: examples.length, truncated: 0, dropped: 0, skipped: 0, tokens: 0, labelledTokens: 0 };
  return { examples, exampleRows, rowHashes: lines.map(hashOfText), counts, dropped: [], skipped: [] };
}
const lines = (n: number) => Array.from({ length: n }, (_, i) => `line ${i}`);
const tokens = ({ examples }: EncodedDataset) => examples.map(({ ids }) => ids[1]);

test('a part is held out: whole rows, as many as is said, by seed and text alone', () => {
  const all = dataset(lines(100));
  const { train, heldOut } = holdOut(all, 0.2, 5);
  expect([train.counts.rows, heldOut.counts.rows]).toEqual([80, heldOutOf(100, 0.2)]);
  expect([...tokens(train), ...tokens(heldOut)].sort((a, b) => Number(a) - Number(b))).toEqual(tokens(all));
  expect(heldOut.exampleRows.filter((row) => train.exampleRows.includes(row))).toEqual([]);
  expect(holdOut(all, 0.2, 5).heldOut.exampleRows).toEqual(heldOut.exampleRows);
  expect(holdOut(all, 0.2, 6).heldOut.exampleRows).not.toEqual(heldOut.exampleRows);
  // Where a row stands does not matter.
  const turned = holdOut(dataset(lines(100).reverse()), 0.2, 5).heldOut;
  expect([...new Set(turned.exampleRows.map((row) => 99 - row))].sort()).toEqual([...new Set(heldOut.exampleRows)].sort());
  expect(heldOut.counts).toMatchObject({ tokens: 2 * heldOut.examples.length, labelledTokens: heldOut.examples.length });
});

test('equal rows are on one side', () => {
  const { train, heldOut } = holdOut(dataset([...lines(20), ...lines(20)]), 0.25, 1);
  const text = (row: number) => row % 20;
  expect(heldOut.exampleRows.map(text).filter((line) => train.exampleRows.map(text).includes(line))).toEqual([]);
  expect(heldOut.counts.rows).toBeGreaterThanOrEqual(10);
});

test('the choice is even: over many seeds each row is held out about as often as any other', () => {
  const often = new Array<number>(50).fill(0);
  for (let seed = 0; seed < 2000; seed++)
    for (const row of new Set(holdOut(dataset(lines(50)), 0.2, seed).heldOut.exampleRows)) often[row] = (often[row] ?? 0) + 1;
  // Binomial(2000, 0.2): mean 400, deviation 17.9; five deviations.
  for (const count of often) expect(Math.abs(count - 400)).toBeLessThan(90);
});

test('weights: whole copies and a fixed choice of the rest', () => {
  const all = dataset(lines(9));
  expect(weighted(all, 1, 3)).toBe(all);
  expect(tokens(weighted(all, 2, 3))).toEqual(tokens(all).flatMap((token) => [token, token]));
  const half = weighted(all, 0.5, 3);
  expect([half.counts.rows, weightedRows(9, 0.5)]).toEqual([5, 5]);
  expect(weighted(all, 0.5, 3)).toEqual(half);
  const more = weighted(all, 2.34, 3);
  expect(more.counts.rows).toBe(Math.round(9 * 2.34));
  expect(weightedRows(10, 0.001)).toBe(1);
  // Equal rows are as good as one another: as many as are asked for, no more.
  expect(weighted(dataset(Array.from({ length: 9 }, () => 'same')), 0.5, 3).counts.rows).toBe(5);
});
