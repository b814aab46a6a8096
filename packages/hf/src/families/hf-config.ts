import type { DecoderConfig } from '@rowsmith/contracts';
import type { DecoderFamily } from './decoder-family.js';
import { ropeDocument } from './rope.js';

/** config.json in Hugging Face's form, for a model that came without one. Reading it again gives the same description. */
export function hfConfigJson(family: DecoderFamily, c: DecoderConfig): string {
  const rope = c.ropes?.[0];
  const document = {
    architectures: [family.architectures[0]],
    model_type: family.modelType,
    hidden_size: c.hidden_size,
    num_hidden_layers: c.n_layers,
    num_attention_heads: c.n_heads,
    num_key_value_heads: c.n_kv_heads,
    head_dim: c.head_dim,
    intermediate_size: c.intermediate_size,
    vocab_size: c.vocab_size,
    max_position_embeddings: c.max_position_embeddings,
    rms_norm_eps: c.norm_eps,
    ...(rope ? { rope_parameters: ropeDocument(rope, c.head_dim) } : { rope_theta: c.rope_theta }),
    ...family.config.document(c),
    tie_word_embeddings: c.tie_embeddings,
    bos_token_id: c.bos_token_id,
    eos_token_id: c.eos_token_ids.length === 1 ? c.eos_token_ids[0] : c.eos_token_ids,
    pad_token_id: c.pad_token_id,
    torch_dtype: 'float32',
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
