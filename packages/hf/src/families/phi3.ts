import type { DecoderFamily } from './decoder-family.js';
import { phi3GgufTensors } from './gguf-names.js';
import { phi3LayerRules, wholeRules } from './packed-rules.js';
import { oneRope, ropeFields } from './rope.js';
import { windowsOf } from './windows.js';

/** Phi-3, Phi-3.5, Phi-4: Llama with fused q|k|v and gate|up, long rope, one sliding window, and (Phi-4-mini) heads rotated in part. */
export const phi3: DecoderFamily = {
  family: 'phi3',
  architectures: ['Phi3ForCausalLM'],
  modelType: 'phi3',
  config: {
    defaults: {
      vocab_size: 32_064,
      hidden_size: 3072,
      intermediate_size: 8192,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: null,
      head_dim: null,
      max_position_embeddings: 4096,
      original_max_position_embeddings: 4096,
      rms_norm_eps: 1e-5,
      rope_theta: 10_000,
      tie_word_embeddings: false,
      sliding_window: null,
      bos_token_id: 1,
      eos_token_id: 32_000,
      pad_token_id: 32_000,
    },
    read: [...ropeFields, 'sliding_window'],
    harmless: [],
    fixed: {
      hidden_act: ['silu'],
      attention_bias: [false],
      mlp_bias: [false],
      lm_head_bias: [false],
      embd_pdrop: [0],
      resid_pdrop: [0],
      full_attn_mod: [1],
      interpolate_factor: [1],
      // The code that the first checkpoints brought along; transformers has computed the same itself since.
      auto_map: [
        { AutoConfig: 'configuration_phi3.Phi3Config', AutoModelForCausalLM: 'modeling_phi3.Phi3ForCausalLM' },
        {
          AutoConfig: 'configuration_phi3.Phi3Config',
          AutoModelForCausalLM: 'modeling_phi3.Phi3ForCausalLM',
          AutoTokenizer: 'Xenova/gpt-4o',
        },
      ],
    },
    describe: (fields, base) => {
      const window = fields.optionalNumber('sliding_window');
      const types = new Array<'sliding_attention'>(base.n_layers).fill('sliding_attention');
      return {
        ...oneRope(fields, base, { aliases: { su: 'longrope' }, partial: true }),
        ...(window === null ? {} : windowsOf(fields, types, window)),
      };
    },
    document: (c) => {
      const scaling = c.ropes?.[0]?.scaling;
      return {
        hidden_act: 'silu',
        attention_dropout: 0,
        embd_pdrop: 0,
        resid_pdrop: 0,
        sliding_window: c.windows?.[0] ?? null,
        original_max_position_embeddings:
          scaling?.kind === 'longrope' ? scaling.original_max_position_embeddings : c.max_position_embeddings,
      };
    },
  },
  gguf: {
    architecture: 'phi3',
    read: ['attention.sliding_window'],
    harmless: [],
    fixed: { expert_count: [0] },
    tensors: phi3GgufTensors,
    interleaved: [],
    partialRope: true,
    described: ['rope_factors_short.weight', 'rope_factors_long.weight'],
    describe: (file, base) => {
      const window = file.number('attention.sliding_window') ?? 0;
      return window > 0 ? { windows: new Array<number>(base.n_layers).fill(window) } : {};
    },
  },
  packed: { whole: wholeRules, layer: phi3LayerRules },
  normsPlusOne: false,
  unusedTensors: [],
};
