import { ModelError, quoted } from '../errors.js';
import { type NamedToken, readVocabulary, tokenTypes, type Vocabulary } from './gguf-vocabulary.js';
import type { Metadata } from './metadata.js';
import { preTokenizations } from './pre-tokenizers.js';
import { sentencePieceBpe } from './sentencepiece-bpe.js';

export interface RebuiltTokenizer {
  readonly tokenizerJson: string;
  readonly tokenizerConfigJson: string;
  /** Number of token ids. */
  readonly size: number;
}

/** The parts of tokenizer.json in which the two kinds differ. */
interface Kind {
  readonly normalizer: object | null;
  readonly preTokenizer: object | null;
  readonly decoder: object;
  readonly model: object;
  /** Post-processor that runs before the one which adds special tokens. */
  readonly processor: object | null;
  readonly addBos: boolean;
}

/** tokenizer.json and tokenizer_config.json from a GGUF file's metadata, so that ids equal the original tokenizer's: BPE, byte-level or SentencePiece's. */
export function ggufTokenizer(metadata: Metadata, architecture: string): RebuiltTokenizer {
  const model = metadata.string('tokenizer.ggml.model');
  if (model !== 'gpt2' && model !== 'llama') {
    throw refused(
      metadata,
      `tokenizer model ${quoted(model)} cannot be rebuilt ("gpt2", byte-level BPE, and "llama", SentencePiece BPE, can); import the Hugging Face folder of this model instead`,
    );
  }
  const vocabulary = readVocabulary(metadata, model === 'llama' ? spelled : (token) => token);
  const kind = model === 'llama' ? sentencePiece(metadata, vocabulary) : byteLevel(metadata, vocabulary);
  const bos = vocabulary.named('bos');
  const eos = vocabulary.named('eos');
  const adds = (which: string, fallback: boolean) => metadata.boolean(`tokenizer.ggml.add_${which}_token`, fallback);
  const added = vocabulary.tokens.flatMap((content, id) => {
    const type = vocabulary.types[id];
    const special = type === tokenTypes.control || type === tokenTypes.unknown;
    if (!special && type !== tokenTypes.userDefined) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: eatsBlanks(content), normalized: false, special }];
  });
  /** Phi-3 drops blanks after its role tokens. The file does not say so; llama.cpp knows these names, too. */
  function eatsBlanks(content: string): boolean {
    return architecture === 'phi3' && model === 'llama' && !['<unk>', '<s>', '<|endoftext|>'].includes(content);
  }
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: kind.normalizer,
    pre_tokenizer: kind.preTokenizer,
    post_processor: postProcessor(kind.processor, adds('bos', kind.addBos) ? bos : null, adds('eos', false) ? eos : null),
    decoder: kind.decoder,
    model: kind.model,
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    add_prefix_space: false,
    clean_up_tokenization_spaces: false,
    model_max_length: 1e30,
    bos_token: bos?.content ?? null,
    eos_token: eos?.content ?? null,
    unk_token: vocabulary.named('unknown')?.content ?? null,
    pad_token: vocabulary.named('padding')?.content ?? null,
    ...(metadata.values.has('tokenizer.chat_template') ? { chat_template: metadata.string('tokenizer.chat_template') } : {}),
  };
  return {
    tokenizerJson: JSON.stringify(tokenizer),
    tokenizerConfigJson: `${JSON.stringify(config, null, 2)}\n`,
    size: vocabulary.tokens.length,
  };
}

const refused = (metadata: Metadata, message: string) => new ModelError('unsupported', message, { file: metadata.file });

function byteLevel(metadata: Metadata, { ids }: Vocabulary): Kind {
  const pre = metadata.string('tokenizer.ggml.pre', 'default');
  const rules = preTokenizations.get(pre);
  if (!rules) {
    throw refused(
      metadata,
      `pre-tokenizer ${quoted(pre)} is not known (known: ${[...preTokenizations.keys()].join(', ')}); import the Hugging Face folder instead`,
    );
  }
  return {
    normalizer: rules.normalizer,
    preTokenizer: rules.preTokenizer,
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
      vocab: ids,
      merges: metadata.strings('tokenizer.ggml.merges').map((merge) => pair(merge, metadata.file)),
    },
    processor: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true },
    addBos: false,
  };
}

function sentencePiece(metadata: Metadata, vocabulary: Vocabulary): Kind {
  const { tokens, types, ids } = vocabulary;
  if (metadata.boolean('tokenizer.ggml.remove_extra_whitespaces', false) || metadata.values.has('tokenizer.ggml.precompiled_charsmap'))
    throw refused(
      metadata,
      'the SentencePiece model rewrites its text (precompiled_charsmap or remove_extra_whitespaces); that is not rebuilt',
    );
  const scores = metadata.numbers('tokenizer.ggml.scores');
  if (scores.length !== tokens.length)
    throw new ModelError('bad_gguf', `${tokens.length} tokens but ${scores.length} scores`, { file: metadata.file });
  // llama.cpp's converter writes -1000 for tokens that are not text; SentencePiece itself has 0 there, and so they are merged first.
  const own = (id: number) => types[id] === tokenTypes.control || types[id] === tokenTypes.userDefined;
  const pieces = tokens.map((text, id) => ({ text, score: own(id) ? 0 : (scores[id] as number) }));
  const unknown = vocabulary.named('unknown')?.content ?? tokens[types.indexOf(tokenTypes.unknown)] ?? null;
  const prefix = metadata.boolean('tokenizer.ggml.add_space_prefix', true);
  return { ...sentencePieceBpe(pieces, ids, unknown, types.includes(tokenTypes.byte), prefix), processor: null, addBos: true };
}

/** llama.cpp's converter writes user-defined runs of the blank mark as blanks. */
const spelled = (token: string, type: number) => (type === tokenTypes.userDefined && /^ +$/.test(token) ? '▁'.repeat(token.length) : token);

/** Byte-level tokens contain no space, so the first one separates the pair. */
function pair(merge: string, file: string): [string, string] {
  const at = merge.indexOf(' ', 1);
  if (at < 0 || at === merge.length - 1) throw new ModelError('bad_gguf', `merge ${quoted(merge)} is not a pair`, { file });
  return [merge.slice(0, at), merge.slice(at + 1)];
}

/** What transformers' fast tokenizers do for add_bos_token and add_eos_token: these tokens around each sequence. */
function postProcessor(first: object | null, bos: NamedToken | null, eos: NamedToken | null): object | null {
  if (!bos && !eos) return first;
  const around = (id: 'A' | 'B', type_id: number) => [
    ...(bos ? [{ SpecialToken: { id: bos.content, type_id } }] : []),
    { Sequence: { id, type_id } },
    ...(eos ? [{ SpecialToken: { id: eos.content, type_id } }] : []),
  ];
  const template = {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens: Object.fromEntries(
      [bos, eos].flatMap((token) => (token ? [[token.content, { id: token.content, ids: [token.id], tokens: [token.content] }]] : [])),
    ),
  };
  return first ? { type: 'Sequence', processors: [first, template] } : template;
}
