import { fileURLToPath } from 'node:url';
import { loadPairTokenizer } from '@rowsmith/hf';
import { expect, it } from 'vitest';
import { classesOf, encodeClassified, labelsOf } from './encode-classified.js';
import { validateJsonl } from './validate.js';

const folder = fileURLToPath(new URL('../../engine/fixtures/encoders/bert-classifier/', import.meta.url));
async function* lines(...rows: unknown[]) {
  yield new TextEncoder().encode(rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join(''));
}

it('reads texts and pairs with labels of both kinds', async () => {
  const rows = [
    { text: 'a good film', label: 10 },
    { text: 'a bad film', text_pair: 'it was bad', label: 9 },
    { text: 'a film', label: 10 },
  ];
  expect((await validateJsonl(lines(...rows))).errors).toEqual([]);
  const classes = classesOf(await labelsOf(lines(...rows)));
  expect(classes).toEqual(['9', '10']);
  const { examples, counts } = await encodeClassified(lines(...rows), { tokenizer: await loadPairTokenizer(folder, 16), classes });
  expect(counts).toEqual({ rows: 3, examples: 3, truncated: 0, dropped: 0, skipped: 0, tokens: 5 + 9 + 4, labelledTokens: 3 });
  expect(examples.map(({ label }) => label)).toEqual([1, 0, 1]);
  expect(Array.from(examples[1]?.ids ?? [])).toEqual([2, 8, 6, 7, 3, 15, 16, 6, 3]);
  expect(Array.from(examples[1]?.types ?? [])).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1]);
  expect(examples.every(({ ids, labels }) => labels.length === ids.length && labels.every((label) => label === -100))).toBe(true);
});

it('orders names by code units, and integers by number', () => {
  expect(classesOf(['b', 'a', 'B', 'a'])).toEqual(['B', 'a', 'b']);
  expect(classesOf(['2', '10', '-1'])).toEqual(['-1', '2', '10']);
  expect(classesOf(['2', '10', 'x'])).toEqual(['10', '2', 'x']);
});

it('names what is wrong with a row', async () => {
  const { errors } = await validateJsonl(
    lines(
      { text: 'a', label: 1.5 },
      { text: 'a', label: '' },
      { text: 'a', label: null },
      { label: 1 },
      { text: 'a', label: 1, id: 3 },
      { text: 'a', text_pair: 3, label: 1 },
    ),
  );
  expect(errors.map(({ line, path }) => [line, path])).toEqual([
    [1, 'label'],
    [2, 'label'],
    [3, 'label'],
    [4, 'text'],
    [5, 'id'],
    [6, 'text_pair'],
  ]);
  const tokenizer = await loadPairTokenizer(folder, 16);
  const encode = (...rows: unknown[]) => encodeClassified(lines(...rows), { tokenizer, classes: ['yes', 'no'] });
  await expect(encode({ text: 'a', label: 'yes' }, { text: 'a', label: 'maybe' })).rejects.toThrow(
    'line 2: the label "maybe" is none of the 2 classes ("yes", "no")',
  );
  await expect(encode({ text: 'a' })).rejects.toThrow(/line 1: an encoder learns classes/);
  const skipping = await encodeClassified(lines({ text: 'a', label: 'yes' }, '{', { text: 'a', label: 'maybe' }), {
    ...{ tokenizer, classes: ['yes', 'no'], skipInvalid: true },
  });
  expect(skipping.counts).toMatchObject({ examples: 1, skipped: 2 });
  expect(skipping.skipped.map(({ line }) => line)).toEqual([2, 3]);
});
