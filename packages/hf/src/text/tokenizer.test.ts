import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { modelStore, resolveModelDir } from '../packed/model-store.js';
import { loadTokenizer, tokenizerFromJson } from './tokenizer.js';

interface Reference {
  readonly text: string;
  readonly ids: number[];
  /** In code points. */
  readonly offsets: [number, number][];
  readonly decoded: string;
}
const { encodings } = JSON.parse(readFileSync(new URL('../../fixtures/text-fixture.json', import.meta.url), 'utf8')) as {
  encodings: Reference[];
};
const tokenizer = await loadTokenizer(await resolveModelDir(modelStore(process.env), 'smollm2-135m-instruct'));
const units = (text: string, point: number) => Array.from(text).slice(0, point).join('').length;

describe('SmolLM2 tokenizer against transformers', () => {
  it('gives the same ids, and offsets in UTF-16 units', async () => {
    for (const { text, ids, offsets } of encodings) {
      const encoded = await tokenizer.encode(text);
      expect([...encoded.ids], text).toEqual(ids);
      expect([...encoded.offsets], text).toEqual(offsets.flatMap(([a, b]) => [units(text, a), units(text, b)]));
    }
  });

  it('encodes batches in order, as one by one', async () => {
    const batch = await tokenizer.encodeBatch(encodings.map((e) => e.text));
    expect(batch.map((e) => [...e.ids])).toEqual(encodings.map((e) => e.ids));
    expect(await tokenizer.encodeBatch([])).toEqual([]);
  });

  it('decodes as transformers does', async () => {
    for (const { text, ids, decoded } of encodings) expect(await tokenizer.decode(ids), text).toBe(decoded);
    expect(await tokenizer.decode([1, 2], { keepSpecialTokens: true })).toBe('<|im_start|><|im_end|>');
  });

  it('knows its tokens', () => {
    expect(tokenizer.vocabSize).toBe(49152);
    expect(tokenizer.tokenToId('<|im_end|>')).toBe(2);
    expect(tokenizer.tokenToId('no such token')).toBeNull();
  });
});

describe('tokenizer files', () => {
  const tiny = (extra: object) =>
    JSON.stringify({
      version: '1.0',
      added_tokens: [],
      model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']] },
      ...extra,
    });

  it('loses nothing to a truncation or padding that the file asks for', async () => {
    const truncating = tiny({
      truncation: { direction: 'Right', max_length: 2, strategy: 'LongestFirst', stride: 0 },
      padding: { strategy: { Fixed: 8 }, direction: 'Right', pad_to_multiple_of: null, pad_id: 0, pad_type_id: 0, pad_token: 'a' },
    });
    expect([...(await tokenizerFromJson(truncating).encode('ababab')).ids]).toEqual([2, 2, 2]);
  });

  it('are refused by name when they are not tokenizers', () => {
    for (const text of ['', '{}', '[]', '{"model":{"type":"BPE"}}', 'null'])
      expect(() => tokenizerFromJson(text)).toThrow(/tokenizer\.json: is not a usable tokenizer/);
  });
});
