import type { DecoderFamily } from './decoder-family.js';
import { llamaGgufTensors } from './gguf-names.js';
import { llamaLayerRules, wholeRules } from './packed-rules.js';
import { oneRope, ropeFields } from './rope.js';

/** Llama 2, 3, 3.1, 3.2, SmolLM, SmolLM2, TinyLlama: RMSNorm, rotary positions (rotate half), grouped-query attention, SwiGLU. */
export const llama: DecoderFamily = {
  family: 'llama',
  architectures: ['LlamaForCausalLM'],
  modelType: 'llama',
  config: {
    defaults: {
      vocab_size: 32_000,
      hidden_size: 4096,
      intermediate_size: 11_008,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: null,
      head_dim: null,
      max_position_embeddings: 2048,
      rms_norm_eps: 1e-6,
      rope_theta: 10_000,
      tie_word_embeddings: false,
      bos_token_id: 1,
      eos_token_id: 2,
      pad_token_id: null,
    },
    read: [...ropeFields, 'attention_bias', 'mlp_bias'],
    harmless: ['is_llama_config'],
    fixed: { hidden_act: ['silu'], rope_interleaved: [false], pretraining_tp: [1], sliding_window: [null] },
    describe: (fields, base) => ({
      ...oneRope(fields, base),
      ...(fields.boolean('attention_bias') ? { qkv_bias: true, o_bias: true } : {}),
      ...(fields.boolean('mlp_bias') ? { mlp_bias: true } : {}),
    }),
    document: (c) => ({
      hidden_act: 'silu',
      attention_bias: c.qkv_bias ?? false,
      attention_dropout: 0,
      mlp_bias: c.mlp_bias ?? false,
    }),
  },
  gguf: {
    architecture: 'llama',
    read: [],
    harmless: [],
    fixed: { expert_count: [0], expert_used_count: [0], 'attention.sliding_window': [0] },
    tensors: llamaGgufTensors,
    interleaved: ['model.layers.{i}.self_attn.q_proj', 'model.layers.{i}.self_attn.k_proj'],
    described: ['rope_freqs.weight'],
    describe: (file) => {
      const attention = ['q', 'k', 'v', 'output'].filter((name) => file.hasTensor(`blk.0.attn_${name}.bias`));
      const mlp = ['gate', 'up', 'down'].filter((name) => file.hasTensor(`blk.0.ffn_${name}.bias`));
      if (attention.length % 4 !== 0) throw file.refuse(`has biases for attn_${attention.join(', attn_')} only`);
      if (mlp.length % 3 !== 0) throw file.refuse(`has biases for ffn_${mlp.join(', ffn_')} only`);
      return {
        ...(attention.length > 0 ? { qkv_bias: true, o_bias: true } : {}),
        ...(mlp.length > 0 ? { mlp_bias: true } : {}),
      };
    },
  },
  packed: { whole: wholeRules, layer: llamaLayerRules },
  normsPlusOne: false,
  unusedTensors: ['model.layers.{i}.self_attn.rotary_emb.inv_freq'],
};
