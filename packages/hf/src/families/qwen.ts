import type { DecoderConfig } from '@rowsmith/contracts';
import type { ConfigFields } from './config-fields.js';
import type { DecoderFamily, FamilyPart, GgufDescription } from './decoder-family.js';
import { llamaGgufTensors } from './gguf-names.js';
import { llamaLayerRules, wholeRules } from './packed-rules.js';
import { oneRope, ropeFields } from './rope.js';
import { givenLayerTypes, windowsDocument, windowsOf } from './windows.js';

const defaults = {
  vocab_size: 151_936,
  hidden_size: 4096,
  intermediate_size: 22_016,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 32,
  max_position_embeddings: 32_768,
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  tie_word_embeddings: false,
  use_sliding_window: false,
  sliding_window: 4096,
  max_window_layers: 28,
  bos_token_id: null,
  eos_token_id: null,
  pad_token_id: null,
};
const windowFields = ['use_sliding_window', 'sliding_window', 'max_window_layers', 'layer_types'];

/** The window counts only with use_sliding_window; without layer_types, layers from max_window_layers on slide. */
function qwenWindows(fields: ConfigFields, base: DecoderConfig): FamilyPart {
  const window = fields.boolean('use_sliding_window') ? fields.optionalNumber('sliding_window') : null;
  const from = fields.number('max_window_layers');
  const byDepth = () =>
    Array.from({ length: base.n_layers }, (_, i) => (window !== null && i >= from ? 'sliding_attention' : 'full_attention'));
  return windowsOf(fields, givenLayerTypes(fields, base) ?? byDepth(), window);
}
const windowsFields = (c: DecoderConfig) => {
  const { sliding_window, layer_types } = windowsDocument(c);
  return { use_sliding_window: sliding_window !== null, sliding_window, max_window_layers: c.n_layers, layer_types };
};

const qwen2Gguf: GgufDescription = {
  architecture: 'qwen2',
  read: [],
  harmless: [],
  fixed: { 'attention.sliding_window': [0], expert_count: [0] },
  tensors: llamaGgufTensors,
  interleaved: [],
  described: [],
  describe: () => ({ qkv_bias: true }),
};

/** Qwen2 and Qwen2.5: Llama with biases on q, k and v. */
export const qwen2: DecoderFamily = {
  family: 'qwen2',
  architectures: ['Qwen2ForCausalLM'],
  modelType: 'qwen2',
  config: {
    defaults: { ...defaults, head_dim: null },
    read: [...ropeFields, ...windowFields],
    harmless: [],
    fixed: { hidden_act: ['silu'], use_mrope: [false], attention_bias: [true], mlp_bias: [false] },
    describe: (fields, base) => ({ ...oneRope(fields, base), ...qwenWindows(fields, base), qkv_bias: true }),
    document: (c) => ({ hidden_act: 'silu', attention_dropout: 0, ...windowsFields(c) }),
  },
  gguf: qwen2Gguf,
  packed: { whole: wholeRules, layer: llamaLayerRules },
  normsPlusOne: false,
  unusedTensors: [],
};

/** Qwen3: heads of their own size, RMS norms of each query and key head, no biases unless the config asks. */
export const qwen3: DecoderFamily = {
  ...qwen2,
  family: 'qwen3',
  architectures: ['Qwen3ForCausalLM'],
  modelType: 'qwen3',
  config: {
    ...qwen2.config,
    defaults: { ...defaults, head_dim: 128 },
    read: [...ropeFields, ...windowFields, 'attention_bias'],
    fixed: { hidden_act: ['silu'] },
    describe: (fields, base) => ({
      ...oneRope(fields, base),
      ...qwenWindows(fields, base),
      ...(fields.boolean('attention_bias') ? { qkv_bias: true, o_bias: true } : {}),
      qk_norm: true,
    }),
    document: (c) => ({ ...qwen2.config.document(c), attention_bias: c.qkv_bias ?? false }),
  },
  gguf: { ...qwen2Gguf, architecture: 'qwen3', describe: () => ({ qk_norm: true }) },
};
