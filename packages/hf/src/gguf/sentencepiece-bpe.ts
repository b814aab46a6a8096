import { ModelError } from '../errors.js';

/** Pieces of a SentencePiece BPE model in order of their ids. */
export interface Piece {
  readonly text: string;
  readonly score: number;
}

/**
 * The merges that make Hugging Face's BPE join what SentencePiece joins: for each piece, best score first, all its splits into two other pieces.
 * SentencePiece keeps scores instead of merges. Splits of pieces of equal score: the longer left part first, then the longer right part; then by the
 * ids of the parts (the order of transformers' converter, whose tokenizer.json files the models are published with).
 */
export function mergesOf(pieces: readonly Piece[]): [string, string][] {
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  const merges: { readonly score: number; readonly left: string; readonly right: string; readonly sizes: readonly [number, number] }[] = [];
  for (const { text, score } of pieces) {
    const splits: { left: string; right: string; sizes: [number, number] }[] = [];
    const characters = Array.from(text);
    let at = 0;
    for (let i = 1; i < characters.length; i++) {
      at += (characters[i - 1] as string).length;
      const [left, right] = [text.slice(0, at), text.slice(at)];
      if (ids.has(left) && ids.has(right)) splits.push({ left, right, sizes: [i, characters.length - i] });
    }
    const id = (part: string) => ids.get(part) as number;
    splits.sort((a, b) => id(a.left) - id(b.left) || id(a.right) - id(b.right));
    for (const split of splits) merges.push({ score, ...split });
  }
  merges.sort((a, b) => b.score - a.score || b.sizes[0] - a.sizes[0] || b.sizes[1] - a.sizes[1]);
  return merges.map(({ left, right }) => [left, right]);
}

/** Normalizer, decoder and model of tokenizer.json. prefix: each text, and each part of it after a special token, starts with a blank. */
export function sentencePieceBpe(pieces: readonly Piece[], vocab: object, unknown: string | null, bytes: boolean, prefix: boolean) {
  if (!bytes && unknown === null) throw new ModelError('unsupported', 'the vocabulary has neither byte tokens nor an unknown token');
  const blanks = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const decoders: object[] = [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }];
  return {
    normalizer: prefix ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, blanks] } : blanks,
    preTokenizer: null,
    decoder: { type: 'Sequence', decoders: prefix ? [...decoders, { type: 'Strip', content: ' ', start: 1, stop: 0 }] : decoders },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unknown,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: bytes,
      ignore_merges: false,
      vocab,
      merges: mergesOf(pieces),
    },
  };
}
