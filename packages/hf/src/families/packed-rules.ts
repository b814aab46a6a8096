import type { DecoderConfig } from '@rowsmith/contracts';
import type { PackedRule } from './decoder-family.js';

const untied = (c: DecoderConfig) => !c.tie_embeddings;
const q = (c: DecoderConfig) => c.n_heads * c.head_dim;
const kv = (c: DecoderConfig) => c.n_kv_heads * c.head_dim;
const qkvRows = (c: DecoderConfig) => [q(c), kv(c), kv(c)];
const gateUpRows = (c: DecoderConfig) => [c.intermediate_size, c.intermediate_size];
const sum = (rows: readonly number[]) => rows.reduce((a, b) => a + b, 0);

type Rows = (c: DecoderConfig) => readonly number[];
type When = (c: DecoderConfig) => boolean;
const always: When = () => true;

/** [sum of rows, hidden] made of matrices stacked by rows. */
const matrices = (names: readonly string[], rows: Rows, width: (c: DecoderConfig) => number, when: When = always): PackedRule => ({
  from: names.map((name) => `${name}.weight`),
  shape: (c) => [sum(rows(c)), width(c)],
  rows,
  when,
});
const vectors = (names: readonly string[], rows: Rows, when: When = always): PackedRule => ({
  from: names,
  shape: (c) => [sum(rows(c))],
  rows,
  when,
});
const biases = (names: readonly string[], rows: Rows, when: When) =>
  vectors(
    names.map((name) => `${name}.bias`),
    rows,
    when,
  );
const norm = (name: string, size: (c: DecoderConfig) => number, when: When = always) => vectors([`${name}.weight`], (c) => [size(c)], when);

const hidden = (c: DecoderConfig) => c.hidden_size;
const projections = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'];

/** Tensors outside the layers, the same in all families. */
export const wholeRules: Readonly<Record<string, PackedRule>> = {
  embed: matrices(['model.embed_tokens'], (c) => [c.vocab_size], hidden),
  final_norm: norm('model.norm', hidden),
  lm_head: matrices(['lm_head'], (c) => [c.vocab_size], hidden, untied),
};

/** Layers with two norms and a matrix for each of q, k, v, gate, up; biases and q/k norms where the config has them. */
export const llamaLayerRules: Readonly<Record<string, PackedRule>> = {
  attn_norm: norm('input_layernorm', hidden),
  qkv: matrices(projections, qkvRows, hidden),
  qkv_bias: biases(projections, qkvRows, (c) => c.qkv_bias ?? false),
  q_norm: norm(
    'self_attn.q_norm',
    (c) => c.head_dim,
    (c) => c.qk_norm ?? false,
  ),
  k_norm: norm(
    'self_attn.k_norm',
    (c) => c.head_dim,
    (c) => c.qk_norm ?? false,
  ),
  o: matrices(['self_attn.o_proj'], (c) => [c.hidden_size], q),
  o_bias: biases(
    ['self_attn.o_proj'],
    (c) => [c.hidden_size],
    (c) => c.o_bias ?? false,
  ),
  mlp_norm: norm('post_attention_layernorm', hidden),
  gate_up: matrices(['mlp.gate_proj', 'mlp.up_proj'], gateUpRows, hidden),
  gate_up_bias: biases(['mlp.gate_proj', 'mlp.up_proj'], gateUpRows, (c) => c.mlp_bias ?? false),
  down: matrices(
    ['mlp.down_proj'],
    (c) => [c.hidden_size],
    (c) => c.intermediate_size,
  ),
  down_bias: biases(
    ['mlp.down_proj'],
    (c) => [c.hidden_size],
    (c) => c.mlp_bias ?? false,
  ),
};

/** Gemma 2 and 3: also norms after attention and feed-forward. Their `post_attention_layernorm` is the former, not the norm before the latter. */
export const gemmaLayerRules: Readonly<Record<string, PackedRule>> = {
  ...llamaLayerRules,
  attn_post_norm: norm('post_attention_layernorm', hidden),
  mlp_norm: norm('pre_feedforward_layernorm', hidden),
  mlp_post_norm: norm('post_feedforward_layernorm', hidden),
};

/** Phi-3: q|k|v and gate|up are one matrix in the file, too, in the packed order. */
export const phi3LayerRules: Readonly<Record<string, PackedRule>> = {
  ...llamaLayerRules,
  qkv: matrices(['self_attn.qkv_proj'], (c) => [sum(qkvRows(c))], hidden),
  gate_up: matrices(['mlp.gate_up_proj'], (c) => [sum(gateUpRows(c))], hidden),
};
