import type { DecoderConfig } from '@rowsmith/contracts';
import { ModelError } from '../errors.js';
import type { DecoderFamily } from '../families/decoder-family.js';
import { hfConfigJson } from '../families/hf-config.js';
import { checkedConfig } from '../folder/read-config.js';
import type { GgufHeader } from './header.js';
import type { Metadata } from './metadata.js';

const readKeys = [
  'block_count',
  'context_length',
  'embedding_length',
  'feed_forward_length',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.layer_norm_rms_epsilon',
  'rope.freq_base',
  'rope.dimension_count',
];

/** The decoder of a GGUF file, and the same as Hugging Face's config.json. Architecture keys that are not understood are refused by name. */
export function ggufConfig(
  family: DecoderFamily,
  metadata: Metadata,
  header: GgufHeader,
  tokenizerSize: number,
): { readonly config: DecoderConfig; readonly document: string } {
  const { architecture, fixed, harmless } = family.gguf;
  const refuse = (message: string) => new ModelError('unsupported', message, { file: metadata.file });
  const prefix = `${architecture}.`;
  for (const [key, value] of metadata.values) {
    if (!key.startsWith(prefix)) continue;
    const short = key.slice(prefix.length);
    if (readKeys.includes(short) || harmless.includes(short)) continue;
    const allowed = fixed[short];
    if (!allowed) throw refuse(`metadata ${JSON.stringify(key)} is not understood, so the model could be computed wrongly`);
    if (!allowed.some((a) => a === value)) throw refuse(`metadata ${key} = ${String(value)} is not supported`);
  }
  const n = (key: string, fallback?: number) => metadata.number(prefix + key, fallback);
  const hidden = n('embedding_length');
  const heads = n('attention.head_count');
  const headDim = n('attention.key_length', hidden / heads);
  if (n('attention.value_length', headDim) !== headDim) throw refuse(`${prefix}attention.value_length differs from the key length`);
  if (n('rope.dimension_count', headDim) !== headDim)
    throw refuse(`${prefix}rope.dimension_count differs from the head size: partial rotation is not supported`);
  const embedding = header.tensors.get('token_embd.weight');
  const bos = metadata.tokenId('tokenizer.ggml.bos_token_id');
  const ends = [metadata.tokenId('tokenizer.ggml.eos_token_id'), metadata.tokenId('tokenizer.ggml.eot_token_id')];
  const candidate = {
    family: family.family,
    hidden_size: hidden,
    n_layers: n('block_count'),
    n_heads: heads,
    n_kv_heads: n('attention.head_count_kv', heads),
    head_dim: headDim,
    intermediate_size: n('feed_forward_length'),
    vocab_size: embedding?.shape[0] ?? tokenizerSize,
    max_position_embeddings: n('context_length'),
    norm_eps: shortestF32(n('attention.layer_norm_rms_epsilon')),
    rope_theta: shortestF32(n('rope.freq_base', 10_000)),
    tie_embeddings: !header.tensors.has('output.weight'),
    bos_token_id: bos,
    eos_token_ids: [...new Set(ends.filter((id) => id !== null))],
    pad_token_id: metadata.tokenId('tokenizer.ggml.padding_token_id'),
  };
  const config = checkedConfig(candidate, metadata.file);
  if (tokenizerSize > config.vocab_size) {
    throw new ModelError('bad_gguf', `has ${tokenizerSize} tokens, the embedding only ${config.vocab_size} rows`, { file: metadata.file });
  }
  return { config, document: hfConfigJson(family, config) };
}

/** GGUF keeps f32: 1e-5 comes back as 0.0000099999997. The shortest decimal with the same f32 value is what the author wrote. */
function shortestF32(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}
