import { join } from 'node:path';
import { ModelError } from '../errors.js';
import { readLimited } from '../read-limited.js';
import { tokenizerFromJson } from './tokenizer.js';
import { tokenizersLibrary } from './tokenizers-library.js';

export interface TextPair {
  readonly text: string;
  /** null: the text alone. */
  readonly pair: string | null;
}
export interface EncodedPair {
  readonly ids: Int32Array;
  /** Segment of each token, as long as ids. */
  readonly types: Int32Array;
  readonly truncated: boolean;
}

/** Texts and pairs of texts as an encoder reads them: with special tokens and segments, cut as transformers' `truncation=True` does (the longer text first). */
export interface PairTokenizer {
  /** Several at once use the machine's cores. Order is kept. */
  encode(pairs: readonly TextPair[]): Promise<EncodedPair[]>;
}

/** Loads `tokenizer.json` of a packed model. maxLength: tokens, special ones included. */
export async function loadPairTokenizer(dir: string, maxLength: number): Promise<PairTokenizer> {
  const file = 'tokenizer.json';
  const text = await readLimited(join(dir, file)).catch((cause: unknown) => {
    throw new ModelError('missing_file', `cannot be read (${(cause as Error).message})`, { file, cause });
  });
  tokenizerFromJson(text, file);
  const binding = tokenizersLibrary().Tokenizer.fromString(text);
  binding.disablePadding();
  // Without options: the longer text first.
  binding.setTruncation(maxLength);
  return {
    async encode(pairs) {
      if (pairs.length === 0) return [];
      // The binding's encodeBatch takes no pairs, whatever its declaration says.
      const encodings = await Promise.all(pairs.map(({ text: first, pair }) => binding.encode(first, pair, { addSpecialTokens: true })));
      return encodings.map((encoding) => ({
        ids: Int32Array.from(encoding.getIds()),
        types: Int32Array.from(encoding.getTypeIds()),
        truncated: encoding.getOverflowing().length > 0,
      }));
    },
  };
}
