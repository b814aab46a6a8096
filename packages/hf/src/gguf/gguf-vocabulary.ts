import { ModelError, quoted } from '../errors.js';
import type { Metadata } from './metadata.js';

/** gguf-py, enum TokenType. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface NamedToken {
  readonly id: number;
  readonly content: string;
}

/** The tokens of a GGUF file in order of their ids. */
export interface Vocabulary {
  readonly tokens: readonly string[];
  /** tokenTypes of each. */
  readonly types: readonly number[];
  /** Token to id, without prototype: a token may be called "__proto__" or "constructor". */
  readonly ids: Record<string, number>;
  /** The token that `tokenizer.ggml.<which>_token_id` names; null when the key is absent. */
  readonly named: (which: 'bos' | 'eos' | 'unknown' | 'padding') => NamedToken | null;
}

/** spelled: how a token of that type is written in tokenizer.json. */
export function readVocabulary(metadata: Metadata, spelled: (token: string, type: number) => string): Vocabulary {
  const bad = (message: string) => new ModelError('bad_gguf', message, { file: metadata.file });
  const stored = metadata.strings('tokenizer.ggml.tokens');
  const types = metadata.values.has('tokenizer.ggml.token_type') ? metadata.numbers('tokenizer.ggml.token_type') : stored.map(() => 1);
  if (types.length !== stored.length) throw bad(`${stored.length} tokens but ${types.length} token types`);
  const tokens = stored.map((token, id) => spelled(token, types[id] as number));
  const ids: Record<string, number> = Object.create(null);
  tokens.forEach((token, id) => {
    if (token in ids) throw bad(`token ${quoted(token)} occurs twice`);
    ids[token] = id;
  });
  return {
    tokens,
    types,
    ids,
    named: (which) => {
      const id = metadata.tokenId(`tokenizer.ggml.${which}_token_id`);
      if (id === null) return null;
      const content = tokens[id];
      if (content === undefined) throw bad(`${which} token id ${id} is outside the vocabulary`);
      return { id, content };
    },
  };
}
