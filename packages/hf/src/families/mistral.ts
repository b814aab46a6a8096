import type { DecoderFamily } from './decoder-family.js';
import { llamaLayerRules, wholeRules } from './packed-rules.js';
import { oneRope, ropeFields } from './rope.js';
import { windowsOf } from './windows.js';

/** Mistral 7B, Nemo, Small: Llama with one sliding window for all layers, which later models switch off (null). */
export const mistral: DecoderFamily = {
  family: 'mistral',
  architectures: ['MistralForCausalLM'],
  modelType: 'mistral',
  config: {
    defaults: {
      vocab_size: 32_000,
      hidden_size: 4096,
      intermediate_size: 14_336,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      head_dim: null,
      max_position_embeddings: 131_072,
      rms_norm_eps: 1e-6,
      rope_theta: 10_000,
      tie_word_embeddings: false,
      sliding_window: 4096,
      bos_token_id: 1,
      eos_token_id: 2,
      pad_token_id: null,
    },
    read: [...ropeFields, 'sliding_window'],
    harmless: [],
    fixed: { hidden_act: ['silu'], attention_bias: [false], mlp_bias: [false] },
    describe: (fields, base) => {
      const window = fields.optionalNumber('sliding_window');
      const types = new Array<'sliding_attention'>(base.n_layers).fill('sliding_attention');
      return { ...oneRope(fields, base), ...(window === null ? {} : windowsOf(fields, types, window)) };
    },
    document: (c) => ({ hidden_act: 'silu', attention_dropout: 0, sliding_window: c.windows?.[0] ?? null }),
  },
  // llama.cpp's converter writes Mistral as "llama", without a window: such files are read as that family.
  gguf: null,
  packed: { whole: wholeRules, layer: llamaLayerRules },
  normsPlusOne: false,
  unusedTensors: [],
};
