import type { DecoderConfig } from '@rowsmith/contracts';
import { ModelError } from '../errors.js';
import { checkedConfig } from '../families/checked-config.js';
import type { DecoderFamily, GgufDescription, GgufFields } from '../families/decoder-family.js';
import { hfConfigJson } from '../families/hf-config.js';
import { plain } from '../families/rope.js';
import { ggufRope, ropeKeys } from './gguf-rope.js';
import type { GgufTensor } from './header.js';
import type { Metadata } from './metadata.js';
import { shortestF32 } from './shortest-f32.js';

const readKeys = [
  ...ropeKeys,
  'block_count',
  'context_length',
  'embedding_length',
  'feed_forward_length',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.layer_norm_rms_epsilon',
];
const harmlessKeys = ['vocab_size'];
const fixedKeys = { 'attention.causal': [true] };

/**
 * The decoder of a GGUF file, and the same as Hugging Face's config.json. Architecture keys that are not understood are refused by name.
 * described: values of the tensors in `gguf.described` that the file has.
 */
export function ggufConfig(
  family: DecoderFamily,
  gguf: GgufDescription,
  metadata: Metadata,
  tensors: ReadonlyMap<string, GgufTensor>,
  described: ReadonlyMap<string, Float32Array>,
  tokenizerSize: number,
): { readonly config: DecoderConfig; readonly document: string } {
  const prefix = `${gguf.architecture}.`;
  const refuse = (message: string) => new ModelError('unsupported', message, { file: metadata.file });
  refuseUnknown(gguf, metadata, refuse);
  const n = (key: string, fallback?: number) => metadata.number(prefix + key, fallback);
  const hidden = n('embedding_length');
  const heads = n('attention.head_count');
  const headDim = n('attention.key_length', hidden / heads);
  if (n('attention.value_length', headDim) !== headDim) throw refuse(`${prefix}attention.value_length differs from the key length`);
  const optional = (key: string) => (metadata.values.has(prefix + key) ? shortestF32(n(key)) : undefined);
  const contextLength = n('context_length');
  const rope = ggufRope({
    number: optional,
    text: (key) => (metadata.values.has(prefix + key) ? metadata.string(prefix + key) : undefined),
    factors: described,
    headDim,
    contextLength,
    refuse: (message) => refuse(prefix + message),
  });
  if (rope.dim !== undefined && !gguf.partialRope) throw refuse(`${prefix}rope.dimension_count differs from the head size ${headDim}`);
  const ends = [metadata.tokenId('tokenizer.ggml.eos_token_id'), metadata.tokenId('tokenizer.ggml.eot_token_id')];
  const base = checkedConfig(
    {
      family: family.family,
      hidden_size: hidden,
      n_layers: n('block_count'),
      n_heads: heads,
      n_kv_heads: n('attention.head_count_kv', heads),
      head_dim: headDim,
      intermediate_size: n('feed_forward_length'),
      vocab_size: tensors.get('token_embd.weight')?.shape[0] ?? tokenizerSize,
      max_position_embeddings: contextLength,
      norm_eps: shortestF32(n('attention.layer_norm_rms_epsilon')),
      rope_theta: rope.theta,
      ...(plain(rope) ? {} : { ropes: [rope] }),
      tie_embeddings: !tensors.has('output.weight'),
      bos_token_id: metadata.tokenId('tokenizer.ggml.bos_token_id'),
      eos_token_ids: [...new Set(ends.filter((id) => id !== null))],
      pad_token_id: metadata.tokenId('tokenizer.ggml.padding_token_id'),
    },
    metadata.file,
  );
  const fields: GgufFields = { number: optional, hasTensor: (name) => tensors.has(name), refuse: (message) => refuse(prefix + message) };
  const config = checkedConfig({ ...base, ...gguf.describe(fields, base) }, metadata.file);
  if (tokenizerSize > config.vocab_size) {
    throw new ModelError('bad_gguf', `has ${tokenizerSize} tokens, the embedding only ${config.vocab_size} rows`, { file: metadata.file });
  }
  return { config, document: hfConfigJson(family, config) };
}

function refuseUnknown(gguf: GgufDescription, metadata: Metadata, refuse: (message: string) => ModelError): void {
  const prefix = `${gguf.architecture}.`;
  const known = new Set([...readKeys, ...gguf.read, ...harmlessKeys, ...gguf.harmless]);
  const fixed = new Map(Object.entries({ ...fixedKeys, ...gguf.fixed }));
  for (const [key, value] of metadata.values) {
    if (!key.startsWith(prefix)) continue;
    const short = key.slice(prefix.length);
    if (known.has(short)) continue;
    const allowed = fixed.get(short);
    if (!allowed) throw refuse(`metadata ${JSON.stringify(key)} is not understood, so the model could be computed wrongly`);
    if (!allowed.some((a) => a === value)) throw refuse(`metadata ${key} = ${String(value)} is not supported`);
  }
}
