/**
 * A packed base model: one folder, made once from a Hugging Face folder or a GGUF file, pinned by hash (engine.md 3.3).
 *   index.json  this schema          weights.bin  tensors, each at a multiple of `alignment` bytes, [out, in] row-major, f32 little-endian
 *   tokenizer.json, tokenizer_config.json (with chat_template), config.json (Hugging Face form)
 * Tensor names: `embed` [V,C], `final_norm` [C], `lm_head` [V,C] (absent when tied), and per layer i
 * `layers.i.attn_norm` [C], `layers.i.qkv` [(H+2K)D, C] (rows q|k|v), `layers.i.o` [C, HD], `layers.i.mlp_norm` [C],
 * `layers.i.gate_up` [2F, C] (rows gate|up), `layers.i.down` [C, F]. q and k rows are in Hugging Face's (rotate-half) order.
 */
import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';

export const packedFormat = 'rowsmith-packed/1';

/** One decoder described by data. A config field that is not understood is refused by the importer, never ignored. */
export const DecoderConfig = Type.Object(
  {
    family: Type.Unsafe<'llama'>(Type.String({ enum: ['llama'] })),
    hidden_size: Type.Integer({ minimum: 1 }),
    n_layers: Type.Integer({ minimum: 1 }),
    n_heads: Type.Integer({ minimum: 1 }),
    n_kv_heads: Type.Integer({ minimum: 1 }),
    head_dim: Type.Integer({ minimum: 2 }),
    intermediate_size: Type.Integer({ minimum: 1 }),
    vocab_size: Type.Integer({ minimum: 2 }),
    max_position_embeddings: Type.Integer({ minimum: 1 }),
    norm_eps: Type.Number({ exclusiveMinimum: 0 }),
    rope_theta: Type.Number({ exclusiveMinimum: 0 }),
    tie_embeddings: Type.Boolean(),
    bos_token_id: nullable(Type.Integer({ minimum: 0 })),
    eos_token_ids: Type.Array(Type.Integer({ minimum: 0 }), { description: 'any of them ends a generation' }),
    pad_token_id: nullable(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
);
export type DecoderConfig = Static<typeof DecoderConfig>;

export const PackedTensor = Type.Object(
  {
    shape: Type.Array(Type.Integer({ minimum: 1 }), { minItems: 1, maxItems: 2 }),
    offset: Type.Integer({ minimum: 0, description: 'bytes into weights.bin' }),
    dtype: Type.Literal('f32'),
  },
  { additionalProperties: false },
);
export type PackedTensor = Static<typeof PackedTensor>;

export const PackedModelIndex = Type.Object(
  {
    format: Type.Literal(packedFormat),
    id: Type.String({ minLength: 1 }),
    source: Type.Object({
      kind: Type.Unsafe<'folder' | 'gguf' | 'hub'>(Type.String({ enum: ['folder', 'gguf', 'hub'] })),
      name: Type.String(),
      revision: nullable(Type.String()),
      sha256: Type.String({ description: 'of the source weights' }),
    }),
    base_sha256: Type.String({
      pattern: '^[0-9a-f]{64}$',
      description: 'SHA-256 of `<canonical JSON of config>\\n<weights_sha256>`: what adapters and checkpoints are bound to',
    }),
    alignment: Type.Integer(),
    weights_bytes: Type.Integer(),
    weights_sha256: Type.String(),
    tokenizer_sha256: Type.String(),
    parameters: Type.Integer(),
    created_at: Type.Integer(),
    config: DecoderConfig,
    tensors: Type.Record(Type.String(), PackedTensor),
  },
  { additionalProperties: false },
);
export type PackedModelIndex = Static<typeof PackedModelIndex>;
