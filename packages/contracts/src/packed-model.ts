/**
 * A packed base model: one folder, made once from a Hugging Face folder or a GGUF file, pinned by hash (engine.md 3.3).
 *   index.json  this schema          weights.bin  tensors, each at a multiple of `alignment` bytes, [out, in] row-major, f32 little-endian
 *   tokenizer.json, tokenizer_config.json (with chat_template), config.json (Hugging Face form)
 * Tensor names: `embed` [V,C], `final_norm` [C], `lm_head` [V,C] (absent when tied), and per layer i
 * `layers.i.attn_norm` [C], `layers.i.qkv` [(H+2K)D, C] (rows q|k|v), `layers.i.o` [C, HD], `layers.i.mlp_norm` [C],
 * `layers.i.gate_up` [2F, C] (rows gate|up), `layers.i.down` [C, F]. q and k rows are in Hugging Face's (rotate-half) order.
 * Where the config says so: `layers.i.qkv_bias` [(H+2K)D], `layers.i.o_bias` [C], `layers.i.gate_up_bias` [2F], `layers.i.down_bias` [C],
 * `layers.i.q_norm` and `layers.i.k_norm` [D], `layers.i.attn_post_norm` and `layers.i.mlp_post_norm` [C].
 * Norm weights are stored as they multiply (Gemma's file holds w and computes 1 + w: here it is 1 + w).
 */
import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';

export const packedFormat = 'rowsmith-packed/1';

export const decoderFamilies = ['llama', 'mistral', 'qwen2', 'qwen3', 'gemma2', 'gemma3', 'phi3'] as const;
export type DecoderFamilyName = (typeof decoderFamilies)[number];

const positive = Type.Number({ exclusiveMinimum: 0 });
const frequencyFactors = Type.Array(positive, { minItems: 1 });

/** How rotary frequencies theta^(-2i/dim), i in [0, dim/2), are stretched for long contexts; formulas as in transformers' modeling_rope_utils. */
export const RopeScaling = Type.Union([
  Type.Object({ kind: Type.Literal('linear'), factor: positive }, { additionalProperties: false }),
  Type.Object(
    {
      kind: Type.Literal('llama3'),
      factor: positive,
      low_freq_factor: positive,
      high_freq_factor: positive,
      original_max_position_embeddings: Type.Integer({ minimum: 1 }),
    },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      kind: Type.Literal('longrope'),
      short_factor: frequencyFactors,
      long_factor: frequencyFactors,
      original_max_position_embeddings: Type.Integer({
        minimum: 1,
        description: 'longer sequences take long_factor, all of their positions',
      }),
      attention_factor: Type.Number({ exclusiveMinimum: 0, description: 'multiplies cosines and sines' }),
    },
    { additionalProperties: false },
  ),
]);
export type RopeScaling = Static<typeof RopeScaling>;

export const Rope = Type.Object(
  {
    theta: positive,
    dim: Type.Optional(Type.Integer({ minimum: 2, description: 'first dimensions of a head that rotate; absent: all' })),
    scaling: Type.Optional(RopeScaling),
  },
  { additionalProperties: false },
);
export type Rope = Static<typeof Rope>;

/**
 * One decoder described by data: the importer translates a family's config.json to this, the engine knows no families. A config field that
 * is not understood is refused by the importer, never ignored. Optional fields absent mean the plain Llama architecture.
 */
export const DecoderConfig = Type.Object(
  {
    family: Type.Unsafe<DecoderFamilyName>(Type.String({ enum: [...decoderFamilies], description: 'for names and export only' })),
    hidden_size: Type.Integer({ minimum: 1 }),
    n_layers: Type.Integer({ minimum: 1 }),
    n_heads: Type.Integer({ minimum: 1 }),
    n_kv_heads: Type.Integer({ minimum: 1 }),
    head_dim: Type.Integer({ minimum: 2 }),
    intermediate_size: Type.Integer({ minimum: 1 }),
    vocab_size: Type.Integer({ minimum: 2 }),
    max_position_embeddings: Type.Integer({ minimum: 1 }),
    norm_eps: Type.Number({ exclusiveMinimum: 0 }),
    rope_theta: Type.Number({ exclusiveMinimum: 0, description: 'of layers that `ropes` does not describe' }),
    tie_embeddings: Type.Boolean(),
    activation: Type.Optional(Type.Unsafe<'silu' | 'gelu_tanh'>(Type.String({ enum: ['silu', 'gelu_tanh'], description: 'default silu' }))),
    qkv_bias: Type.Optional(Type.Boolean()),
    o_bias: Type.Optional(Type.Boolean()),
    mlp_bias: Type.Optional(Type.Boolean()),
    qk_norm: Type.Optional(Type.Boolean({ description: 'RMS norm of each query and key head before the rotation' })),
    post_norms: Type.Optional(Type.Boolean({ description: 'RMS norm of the outputs of attention and feed-forward before they are added' })),
    embed_scale: Type.Optional(positive),
    attention_scale: Type.Optional(Type.Number({ exclusiveMinimum: 0, description: 'default 1/sqrt(head_dim)' })),
    attention_softcap: Type.Optional(Type.Number({ exclusiveMinimum: 0, description: 'scores become cap * tanh(score / cap)' })),
    logit_softcap: Type.Optional(positive),
    windows: Type.Optional(
      Type.Array(Type.Integer({ minimum: 0 }), {
        description: 'per layer: a query sees itself and the window - 1 positions before it; 0 = all. Absent: all layers see all',
      }),
    ),
    ropes: Type.Optional(Type.Array(Rope, { minItems: 1 })),
    rope_of_layer: Type.Optional(Type.Array(Type.Integer({ minimum: 0 }), { description: 'per layer an index into ropes; absent: 0' })),
    bos_token_id: nullable(Type.Integer({ minimum: 0 })),
    eos_token_ids: Type.Array(Type.Integer({ minimum: 0 }), { description: 'any of them ends a generation' }),
    pad_token_id: nullable(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
);
export type DecoderConfig = Static<typeof DecoderConfig>;

export const encoderFamilies = ['bert'] as const;
export type EncoderFamilyName = (typeof encoderFamilies)[number];

/**
 * One encoder described by data (BERT): learnt positions and token types, norms after each half of a layer (LayerNorm with bias), every linear with a
 * bias, GELU by the error function. Tensor names: `embed` [V,C], `positions` [P,C], `types` [Y,C], `embed_norm` and `embed_norm_bias` [C], per layer i
 * `layers.i.qkv` [3C, C] (rows query|key|value), `layers.i.o` [C, C], `layers.i.up` [F, C], `layers.i.down` [C, F], each with `<name>_bias`,
 * `layers.i.attn_norm`, `layers.i.mlp_norm` and their `_bias` [C]; where the config says so `pooler` [C, C] and `classifier` [classes, C] with biases.
 */
export const EncoderConfig = Type.Object(
  {
    kind: Type.Literal('encoder'),
    family: Type.Unsafe<EncoderFamilyName>(Type.String({ enum: [...encoderFamilies] })),
    hidden_size: Type.Integer({ minimum: 1 }),
    n_layers: Type.Integer({ minimum: 1 }),
    n_heads: Type.Integer({ minimum: 1 }),
    intermediate_size: Type.Integer({ minimum: 1 }),
    vocab_size: Type.Integer({ minimum: 2 }),
    max_position_embeddings: Type.Integer({ minimum: 2 }),
    type_vocab_size: Type.Integer({ minimum: 1 }),
    norm_eps: Type.Number({ exclusiveMinimum: 0 }),
    activation: Type.Literal('gelu'),
    pooler: Type.Boolean({ description: 'the weights hold a pooler; false: a job begins with a new one' }),
    classes: Type.Optional(
      Type.Array(Type.String(), {
        minItems: 1,
        description: 'names of the classes of the classifier that the weights hold; absent: they hold none',
      }),
    ),
    pad_token_id: nullable(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
);
export type EncoderConfig = Static<typeof EncoderConfig>;

/** Encoders say their kind; decoders, which came first, do not, so that their hashes stay what they were. */
export const ModelConfig = Type.Union([DecoderConfig, EncoderConfig]);
export type ModelConfig = DecoderConfig | EncoderConfig;

export const isEncoder = (config: ModelConfig): config is EncoderConfig => 'kind' in config;

/** Sizes that both kinds have. Heads of an encoder have keys and values of their own. */
export interface ModelSizes {
  readonly hidden_size: number;
  readonly n_layers: number;
  readonly n_heads: number;
  readonly n_kv_heads: number;
  readonly head_dim: number;
  readonly intermediate_size: number;
}

export function sizesOf(config: ModelConfig): ModelSizes {
  if (!isEncoder(config)) return config;
  return { ...config, n_kv_heads: config.n_heads, head_dim: config.hidden_size / config.n_heads };
}

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
    config: ModelConfig,
    tensors: Type.Record(Type.String(), PackedTensor),
  },
  { additionalProperties: false },
);
export type PackedModelIndex = Static<typeof PackedModelIndex>;
