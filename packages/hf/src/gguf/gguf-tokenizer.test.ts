import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { tokenizerFromJson } from '../text/tokenizer.js';
import { ggufTokenizer } from './gguf-tokenizer.js';
import type { GgufValue } from './header.js';
import { Metadata } from './metadata.js';
import { mergesOf } from './sentencepiece-bpe.js';

interface Kind {
  readonly tokens: string[];
  readonly scores: number[];
  readonly types: number[];
  readonly prefix: boolean;
  readonly special: { readonly bos: number; readonly eos: number; readonly unknown: number };
  readonly texts: { readonly text: string; readonly ids: number[]; readonly decoded: string }[];
}
const kinds = JSON.parse(readFileSync(new URL('../../fixtures/sentencepiece-fixture.json', import.meta.url), 'utf8')) as Record<
  'llama' | 'gemma',
  Kind
>;
function metadata(kind: Kind, more: Record<string, GgufValue> = {}): Metadata {
  const { bos, eos, unknown } = kind.special;
  const keys: Record<string, GgufValue> = {
    model: 'llama',
    tokens: kind.tokens,
    scores: kind.scores,
    token_type: kind.types,
    add_space_prefix: kind.prefix,
    bos_token_id: bos,
    eos_token_id: eos,
    unknown_token_id: unknown,
    ...more,
  };
  return new Metadata(new Map(Object.entries(keys).map(([key, value]) => [`tokenizer.ggml.${key}`, value])), 'x.gguf');
}
const built = (kind: Kind, more: Record<string, GgufValue> = {}, architecture = 'llama') =>
  ggufTokenizer(metadata(kind, more), architecture);
/** The fixture with tokens of Phi-3 appended. */
const withTokens = (...tokens: string[]): Kind => ({
  ...kinds.llama,
  tokens: [...kinds.llama.tokens, ...tokens],
  scores: [...kinds.llama.scores, ...tokens.map(() => -1000)],
  types: [...kinds.llama.types, ...tokens.map(() => 3)],
});

describe('SentencePiece tokenizers of GGUF files', () => {
  for (const [name, kind] of Object.entries(kinds)) {
    it(`${name}: ids and decoded texts are SentencePiece's`, async () => {
      const tokenizer = tokenizerFromJson(built(kind).tokenizerJson);
      expect(tokenizer.vocabSize).toBe(kind.tokens.length);
      for (const { text, ids, decoded } of kind.texts) {
        expect([...(await tokenizer.encode(text)).ids], JSON.stringify(text)).toEqual(ids);
        expect(await tokenizer.decode(ids), JSON.stringify(text)).toBe(decoded);
      }
    });
  }

  it('adds begin and end tokens as the file says; the begin token unless it says no', async () => {
    const ids = async (more: Record<string, GgufValue>) => {
      const encoded = await tokenizerFromJson(built(kinds.llama, more).tokenizerJson).encode('Hello', { addSpecialTokens: true });
      return [encoded.ids[0], encoded.ids.at(-1)];
    };
    const [first, last] = await ids({ add_bos_token: false });
    const { bos, eos } = kinds.llama.special;
    expect([first, last]).not.toContain(bos);
    expect(await ids({})).toEqual([bos, last]);
    expect(await ids({ add_eos_token: true })).toEqual([bos, eos]);
  });

  it('drops blanks after role tokens of Phi-3, and only there', async () => {
    const phi = withTokens('<|endoftext|>', '<|user|>');
    const base = kinds.llama.tokens.length;
    const ids = async (architecture: string, text: string) => [
      ...(await tokenizerFromJson(built(phi, {}, architecture).tokenizerJson).encode(text)).ids,
    ];
    expect(await ids('phi3', '<|user|>\n x')).toEqual(await ids('phi3', '<|user|>x'));
    expect(await ids('phi3', '<|user|>\n')).toEqual([base + 1]);
    expect((await ids('llama', '<|user|>\n')).length).toBeGreaterThan(1);
    expect((await ids('phi3', '<|endoftext|>\n')).length).toBeGreaterThan(1);
  });

  it('merges the best score first; of equal scores the longer left part', () => {
    const pieces = ['a', 'b', 'aa', 'aaa', 'ab', 'aab'].map((text, i) => ({ text, score: [0, 0, -5, -5, -1, -5][i] as number }));
    expect(mergesOf(pieces)).toEqual([
      ['a', 'b'],
      ['aa', 'a'],
      ['aa', 'b'],
      ['a', 'aa'],
      ['a', 'ab'],
      ['a', 'a'],
    ]);
    // Characters are code points.
    expect(
      mergesOf([
        { text: '😀', score: 0 },
        { text: '😀😀', score: -1 },
      ]),
    ).toEqual([['😀', '😀']]);
  });

  it('refuses what it cannot rebuild', () => {
    expect(() => built(kinds.llama, { model: 't5' })).toThrow(/tokenizer model "t5" cannot be rebuilt/);
    expect(() => built(kinds.llama, { remove_extra_whitespaces: true })).toThrow(/remove_extra_whitespaces/);
    expect(() => built(kinds.llama, { precompiled_charsmap: [1] })).toThrow(/precompiled_charsmap/);
    expect(() => built(kinds.llama, { scores: [1] })).toThrow(/700 tokens but 1 scores/);
    expect(() => built(kinds.llama, { token_type: [1] })).toThrow(/700 tokens but 1 token types/);
    expect(() => built(kinds.llama, { tokens: [...kinds.llama.tokens.slice(1), kinds.llama.tokens[5] as string] })).toThrow(/occurs twice/);
  });
});
