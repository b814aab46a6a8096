import type { GgufDescription } from './decoder-family.js';

/** Hugging Face name -> name in llama.cpp's files (gguf-py, constants.py), both without `.weight` or `.bias`. */
export const llamaGgufTensors: GgufDescription['tensors'] = {
  'model.embed_tokens': 'token_embd',
  'model.norm': 'output_norm',
  lm_head: 'output',
  'model.layers.{i}.input_layernorm': 'blk.{i}.attn_norm',
  'model.layers.{i}.self_attn.q_proj': 'blk.{i}.attn_q',
  'model.layers.{i}.self_attn.k_proj': 'blk.{i}.attn_k',
  'model.layers.{i}.self_attn.v_proj': 'blk.{i}.attn_v',
  'model.layers.{i}.self_attn.q_norm': 'blk.{i}.attn_q_norm',
  'model.layers.{i}.self_attn.k_norm': 'blk.{i}.attn_k_norm',
  'model.layers.{i}.self_attn.o_proj': 'blk.{i}.attn_output',
  'model.layers.{i}.post_attention_layernorm': 'blk.{i}.ffn_norm',
  'model.layers.{i}.mlp.gate_proj': 'blk.{i}.ffn_gate',
  'model.layers.{i}.mlp.up_proj': 'blk.{i}.ffn_up',
  'model.layers.{i}.mlp.down_proj': 'blk.{i}.ffn_down',
};

export const gemmaGgufTensors: GgufDescription['tensors'] = {
  ...llamaGgufTensors,
  'model.layers.{i}.post_attention_layernorm': 'blk.{i}.post_attention_norm',
  'model.layers.{i}.pre_feedforward_layernorm': 'blk.{i}.ffn_norm',
  'model.layers.{i}.post_feedforward_layernorm': 'blk.{i}.post_ffw_norm',
};

/** gate|up is one matrix there, under the name that other architectures use for up alone. */
const {
  'model.layers.{i}.self_attn.q_proj': _q,
  'model.layers.{i}.self_attn.k_proj': _k,
  'model.layers.{i}.self_attn.v_proj': _v,
  'model.layers.{i}.mlp.gate_proj': _gate,
  'model.layers.{i}.mlp.up_proj': _up,
  ...unfused
} = llamaGgufTensors;
export const phi3GgufTensors: GgufDescription['tensors'] = {
  ...unfused,
  'model.layers.{i}.self_attn.qkv_proj': 'blk.{i}.attn_qkv',
  'model.layers.{i}.mlp.gate_up_proj': 'blk.{i}.ffn_up',
};
