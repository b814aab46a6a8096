import { ModelError, quoted } from '../errors.js';
import type { Metadata } from './metadata.js';
import { preTokenizations } from './pre-tokenizers.js';

export interface RebuiltTokenizer {
  readonly tokenizerJson: string;
  readonly tokenizerConfigJson: string;
  /** Number of token ids. */
  readonly size: number;
}

/** gguf.h, token types. */
const control = 3;
const userDefined = 4;

/** tokenizer.json and tokenizer_config.json from a GGUF file's metadata, so that ids equal the original tokenizer's. Byte-level BPE only. */
export function ggufTokenizer(metadata: Metadata, _gguf?: unknown): RebuiltTokenizer {
  const refuse = (message: string) => new ModelError('unsupported', message, { file: metadata.file });
  const model = metadata.string('tokenizer.ggml.model');
  if (model !== 'gpt2') {
    throw refuse(
      `tokenizer model ${quoted(model)} cannot be rebuilt (byte-level BPE, "gpt2", can); import the Hugging Face folder of this model instead`,
    );
  }
  const pre = metadata.string('tokenizer.ggml.pre', 'default');
  const rules = preTokenizations.get(pre);
  if (!rules) {
    throw refuse(
      `pre-tokenizer ${quoted(pre)} is not known (known: ${[...preTokenizations.keys()].join(', ')}); import the Hugging Face folder instead`,
    );
  }
  const tokens = metadata.strings('tokenizer.ggml.tokens');
  const merges = metadata.strings('tokenizer.ggml.merges');
  const types = metadata.values.has('tokenizer.ggml.token_type') ? metadata.numbers('tokenizer.ggml.token_type') : tokens.map(() => 1);
  if (types.length !== tokens.length) {
    throw new ModelError('bad_gguf', `${tokens.length} tokens but ${types.length} token types`, { file: metadata.file });
  }
  const bos = named(metadata, tokens, 'bos');
  const eos = named(metadata, tokens, 'eos');
  const added = tokens.flatMap((content, id) =>
    types[id] === control || types[id] === userDefined
      ? [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: types[id] === control }]
      : [],
  );
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: rules.normalizer,
    pre_tokenizer: rules.preTokenizer,
    post_processor: postProcessor(metadata.boolean('tokenizer.ggml.add_bos_token', false) ? bos : null),
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: rules.ignoreMerges,
      vocab: vocabulary(tokens, metadata.file),
      merges: merges.map((merge) => pair(merge, metadata.file)),
    },
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    add_prefix_space: false,
    clean_up_tokenization_spaces: false,
    model_max_length: 1e30,
    bos_token: bos?.content ?? null,
    eos_token: eos?.content ?? null,
    unk_token: named(metadata, tokens, 'unknown')?.content ?? null,
    pad_token: named(metadata, tokens, 'padding')?.content ?? null,
    ...(metadata.values.has('tokenizer.chat_template') ? { chat_template: metadata.string('tokenizer.chat_template') } : {}),
  };
  return { tokenizerJson: JSON.stringify(tokenizer), tokenizerConfigJson: `${JSON.stringify(config, null, 2)}\n`, size: tokens.length };
}

function named(metadata: Metadata, tokens: readonly string[], which: string): { id: number; content: string } | null {
  const id = metadata.tokenId(`tokenizer.ggml.${which}_token_id`);
  if (id === null) return null;
  const content = tokens[id];
  if (content === undefined) throw new ModelError('bad_gguf', `${which} token id ${id} is outside the vocabulary`, { file: metadata.file });
  return { id, content };
}

function vocabulary(tokens: readonly string[], file: string): Record<string, number> {
  // No prototype: a token may be called "__proto__" or "constructor".
  const vocab: Record<string, number> = Object.create(null);
  tokens.forEach((token, id) => {
    if (token in vocab) throw new ModelError('bad_gguf', `token ${quoted(token)} occurs twice`, { file });
    vocab[token] = id;
  });
  return vocab;
}

/** Byte-level tokens contain no space, so the first one separates the pair. */
function pair(merge: string, file: string): [string, string] {
  const at = merge.indexOf(' ', 1);
  if (at < 0 || at === merge.length - 1) throw new ModelError('bad_gguf', `merge ${quoted(merge)} is not a pair`, { file });
  return [merge.slice(0, at), merge.slice(at + 1)];
}

/** What transformers' fast tokenizers do for add_bos_token: the begin token before each sequence. */
function postProcessor(bos: { id: number; content: string } | null): object {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true };
  if (!bos) return byteLevel;
  const special = (type_id: number) => ({ SpecialToken: { id: bos.content, type_id } });
  const template = {
    type: 'TemplateProcessing',
    single: [special(0), { Sequence: { id: 'A', type_id: 0 } }],
    pair: [special(0), { Sequence: { id: 'A', type_id: 0 } }, special(1), { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { [bos.content]: { id: bos.content, ids: [bos.id], tokens: [bos.content] } },
  };
  return { type: 'Sequence', processors: [byteLevel, template] };
}
