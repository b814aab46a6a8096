import type { DecoderConfig } from '@rowsmith/contracts';
import type { ConfigFields } from './config-fields.js';
import type { DecoderFamily, FamilyPart, GgufDescription, GgufFields } from './decoder-family.js';
import { gemmaGgufTensors } from './gguf-names.js';
import { gemmaLayerRules, wholeRules } from './packed-rules.js';
import { oneRope, ropeFields } from './rope.js';
import { givenLayerTypes, patternTypes, windowsDocument, windowsOf } from './windows.js';

export const gemmaDefaults = {
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: true,
  query_pre_attn_scalar: 256,
  sliding_window: 4096,
  bos_token_id: 2,
  eos_token_id: 1,
  pad_token_id: 0,
};
export const gemmaFixed = { hidden_activation: ['gelu_pytorch_tanh'], use_bidirectional_attention: [false, null] };
export const gemmaFields = ['attention_bias', 'query_pre_attn_scalar', 'final_logit_softcapping', 'sliding_window', 'layer_types'];

/** What all Gemma models have: GeGLU, four norms a layer, embeddings times sqrt(width), scores times query_pre_attn_scalar^-1/2. */
export function gemmaPart(fields: ConfigFields, base: DecoderConfig): FamilyPart {
  const scalar = fields.number('query_pre_attn_scalar');
  if (!(scalar > 0)) throw fields.bad(`query_pre_attn_scalar = ${scalar} is not above 0`);
  const logitCap = fields.optionalNumber('final_logit_softcapping');
  return {
    ...gemmaShape(base, scalar),
    ...(fields.boolean('attention_bias') ? { qkv_bias: true, o_bias: true } : {}),
    ...(logitCap === null ? {} : { logit_softcap: logitCap }),
  };
}

export const gemmaShape = (base: DecoderConfig, scalar: number): FamilyPart => ({
  activation: 'gelu_tanh',
  post_norms: true,
  embed_scale: Math.sqrt(base.hidden_size),
  ...(scalar === base.head_dim ? {} : { attention_scale: 1 / Math.sqrt(scalar) }),
});

export function gemmaDocument(c: DecoderConfig) {
  return {
    hidden_activation: 'gelu_pytorch_tanh',
    attention_bias: c.qkv_bias ?? false,
    attention_dropout: 0,
    query_pre_attn_scalar: c.attention_scale === undefined ? c.head_dim : Number((c.attention_scale ** -2).toPrecision(12)),
    final_logit_softcapping: c.logit_softcap ?? null,
    ...windowsDocument(c),
  };
}

/** llama.cpp keeps query_pre_attn_scalar in no key: it takes width / heads for the 27B models, which it knows by their number of layers. */
export const ggufScalar = (base: DecoderConfig, layersOf27B: number) =>
  base.n_layers === layersOf27B ? base.hidden_size / base.n_heads : base.head_dim;

export function ggufWindows(file: GgufFields, types: readonly string[], fallback: number): FamilyPart {
  const window = file.number('attention.sliding_window') ?? fallback;
  if (!Number.isInteger(window) || window < 1)
    throw file.refuse(`attention.sliding_window = ${window} is not a whole number of at least 1`);
  return { windows: types.map((type) => (type === 'sliding_attention' ? window : 0)) };
}

export const gemma2Gguf: GgufDescription = {
  architecture: 'gemma2',
  read: ['attn_logit_softcapping', 'final_logit_softcapping', 'attention.sliding_window'],
  harmless: [],
  fixed: {},
  tensors: gemmaGgufTensors,
  interleaved: [],
  described: [],
  describe: (file, base) => ({
    ...gemmaShape(base, ggufScalar(base, 46)),
    attention_softcap: file.number('attn_logit_softcapping') ?? 50,
    logit_softcap: file.number('final_logit_softcapping') ?? 30,
    ...ggufWindows(file, patternTypes(base.n_layers, 2), 4096),
  }),
};

/** Gemma 2: soft-capped scores and logits, every other layer sees a window, the first one among them. */
export const gemma2: DecoderFamily = {
  family: 'gemma2',
  architectures: ['Gemma2ForCausalLM'],
  modelType: 'gemma2',
  config: {
    defaults: {
      ...gemmaDefaults,
      vocab_size: 256_000,
      max_position_embeddings: 8192,
      rope_theta: 10_000,
      final_logit_softcapping: 30,
      attn_logit_softcapping: 50,
    },
    read: [...ropeFields, ...gemmaFields, 'attn_logit_softcapping', 'sliding_window_size'],
    harmless: [],
    fixed: { ...gemmaFixed, hidden_act: ['gelu_pytorch_tanh'] },
    describe: (fields, base) => {
      const window = fields.optionalNumber('sliding_window');
      const other = fields.optionalNumber('sliding_window_size');
      if (other !== null && other !== window) throw fields.refuse(`sliding_window_size = ${other} is not sliding_window = ${window}`);
      const cap = fields.optionalNumber('attn_logit_softcapping');
      return {
        ...oneRope(fields, base),
        ...gemmaPart(fields, base),
        ...(cap === null ? {} : { attention_softcap: cap }),
        ...windowsOf(fields, givenLayerTypes(fields, base) ?? patternTypes(base.n_layers, 2), window),
      };
    },
    document: (c) => ({ ...gemmaDocument(c), attn_logit_softcapping: c.attention_softcap ?? null }),
  },
  gguf: gemma2Gguf,
  packed: { whole: wholeRules, layer: gemmaLayerRules },
  normsPlusOne: true,
  unusedTensors: [],
};
