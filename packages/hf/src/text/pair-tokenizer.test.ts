import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadPairTokenizer } from './pair-tokenizer.js';

const folder = fileURLToPath(new URL('../../../engine/fixtures/encoders/bert-classifier/', import.meta.url));

it('ids, segments and cuts are those of transformers', async () => {
  const { max_length, encoded } = JSON.parse(await readFile(`${folder}expected.json`, 'utf8')) as {
    max_length: number;
    encoded: { text: string; pair: string | null; ids: number[]; types: number[] }[];
  };
  const tokenizer = await loadPairTokenizer(folder, max_length);
  const found = await tokenizer.encode(encoded);
  expect(found.map(({ ids, types }) => ({ ids: Array.from(ids), types: Array.from(types) }))).toEqual(
    encoded.map(({ ids, types }) => ({ ids, types })),
  );
  expect(found.map(({ truncated }) => truncated)).toEqual([false, true, true, true]);
});
