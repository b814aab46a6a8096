/** Test support: the models of fixtures/families in the packed layout, and what transformers computed with them (fixtures/make-family-fixtures.py). */
import { readdirSync, readFileSync } from 'node:fs';
import type { DecoderConfig } from '@rowsmith/contracts';
import type { ModelInMemory } from '../models/weights.js';

const folder = new URL('../../fixtures/families/', import.meta.url);
export const familyNames: readonly string[] = readdirSync(folder).sort();

export interface FamilyFixture {
  readonly model: ModelInMemory;
  readonly cases: readonly { readonly ids: readonly number[]; readonly labels: readonly number[]; readonly loss: number }[];
  readonly prompt: readonly number[];
  readonly greedy: readonly number[];
  /** `i.logits` [T, V] and `i.<linear>` [3, in]: gradients of its first, middle and last row. */
  readonly expected: Tensors;
}

type Tensors = ReadonlyMap<string, Float32Array>;
type Json = Readonly<Record<string, unknown>>;
type Expected = Pick<FamilyFixture, 'cases' | 'prompt' | 'greedy'>;

export function familyFixture(name: string): FamilyFixture {
  const json = <T>(file: string) => JSON.parse(readFileSync(new URL(`${name}/${file}`, folder), 'utf8')) as T;
  const config = decoderConfig(name, json<Json>('config.json'));
  const tensors = packed(config, readTensors(new URL(`${name}/model.safetensors`, folder)));
  const expected = readTensors(new URL(`${name}/expected.safetensors`, folder));
  return { model: { config, tensors }, ...json<Expected>('expected.json'), expected };
}

/** All tensors of the fixtures are f32. */
export function readTensors(file: URL): Tensors {
  const bytes = readFileSync(file);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + headerLength).toString()) as Record<string, { data_offsets?: [number, number] }>;
  return new Map(
    Object.entries(header).flatMap(([name, { data_offsets }]) => {
      if (!data_offsets) return [];
      const [start, end] = data_offsets.map((offset) => 8 + headerLength + offset) as [number, number];
      return [[name, new Float32Array(Uint8Array.from(bytes.subarray(start, end)).buffer)] as const];
    }),
  );
}

/** What each family adds to Llama, as its modelling code in transformers has it. */
function decoderConfig(name: string, json: Json): DecoderConfig {
  const number = (field: string) => json[field] as number;
  const layers = number('num_hidden_layers');
  const ropes = json['rope_parameters'] as Json;
  const turn = (field: string) => ropes[field] as number;
  const windows = (local: (layer: number) => boolean) => ({
    windows: Array.from({ length: layers }, (_, layer) => (local(layer) ? number('sliding_window') : 0)),
  });
  const types = json['layer_types'] as readonly string[];
  const gemma = {
    activation: 'gelu_tanh',
    post_norms: true,
    embed_scale: Math.sqrt(number('hidden_size')),
    attention_scale: number('query_pre_attn_scalar') ** -0.5,
    ...windows((layer) => types?.[layer] === 'sliding_attention'),
  } as const;
  const additions: Readonly<Record<string, () => Partial<DecoderConfig>>> = {
    llama2: () => ({}),
    'llama3.1': () => ({
      ropes: [
        {
          theta: turn('rope_theta'),
          scaling: {
            kind: 'llama3',
            factor: turn('factor'),
            low_freq_factor: turn('low_freq_factor'),
            high_freq_factor: turn('high_freq_factor'),
            original_max_position_embeddings: turn('original_max_position_embeddings'),
          },
        },
      ],
    }),
    'llama-biased': () => ({
      qkv_bias: true,
      o_bias: true,
      mlp_bias: true,
      ropes: [{ theta: turn('rope_theta'), scaling: { kind: 'linear', factor: turn('factor') } }],
    }),
    mistral: () => ({ family: 'mistral', ...windows(() => true) }),
    qwen2: () => ({ family: 'qwen2', qkv_bias: true }),
    'qwen2-windows': () => ({ family: 'qwen2', qkv_bias: true, ...windows((layer) => layer >= number('max_window_layers')) }),
    qwen3: () => ({ family: 'qwen3', qk_norm: true }),
    gemma2: () => ({
      family: 'gemma2',
      ...gemma,
      attention_softcap: number('attn_logit_softcapping'),
      logit_softcap: number('final_logit_softcapping'),
    }),
    gemma3: () => {
      const [local, global] = [ropes['sliding_attention'] as Record<string, number>, ropes['full_attention'] as Record<string, number>];
      return {
        family: 'gemma3',
        ...gemma,
        qk_norm: true,
        ropes: [
          { theta: local['rope_theta'] as number },
          { theta: global['rope_theta'] as number, scaling: { kind: 'linear', factor: global['factor'] as number } },
        ],
        rope_of_layer: types.map((type) => (type === 'sliding_attention' ? 0 : 1)),
      };
    },
    phi3: () => {
      const original = turn('original_max_position_embeddings');
      const stretch = number('max_position_embeddings') / original;
      return {
        family: 'phi3',
        ropes: [
          {
            theta: turn('rope_theta'),
            dim: number('head_dim') * turn('partial_rotary_factor'),
            scaling: {
              kind: 'longrope',
              short_factor: ropes['short_factor'] as number[],
              long_factor: ropes['long_factor'] as number[],
              original_max_position_embeddings: original,
              attention_factor: Math.sqrt(1 + Math.log(stretch) / Math.log(original)),
            },
          },
        ],
      };
    },
  };
  const addition = additions[name];
  if (!addition) throw new Error(`no description of the fixture ${name}`);
  return {
    family: 'llama',
    hidden_size: number('hidden_size'),
    n_layers: layers,
    n_heads: number('num_attention_heads'),
    n_kv_heads: number('num_key_value_heads'),
    head_dim: number('head_dim'),
    intermediate_size: number('intermediate_size'),
    vocab_size: number('vocab_size'),
    max_position_embeddings: number('max_position_embeddings'),
    norm_eps: number('rms_norm_eps'),
    rope_theta: (ropes['rope_theta'] as number | undefined) ?? 10_000,
    tie_embeddings: json['tie_word_embeddings'] as boolean,
    bos_token_id: null,
    eos_token_ids: [],
    pad_token_id: null,
    ...addition(),
  };
}

/** Hugging Face names to packed ones. */
function packed({ family, n_layers, post_norms }: DecoderConfig, files: Tensors): Tensors {
  const plusOne = family === 'gemma2' || family === 'gemma3';
  const tensors = new Map<string, Float32Array>();
  const put = (name: string, ...parts: string[]) => {
    const found = parts.flatMap((part) => files.get(part) ?? []);
    if (found.length !== parts.length) return;
    const values = Float32Array.from(found.flatMap((part) => Array.from(part)));
    tensors.set(name, plusOne && parts[0]?.endsWith('norm.weight') ? values.map((value) => 1 + value) : values);
  };
  put('embed', 'model.embed_tokens.weight');
  put('final_norm', 'model.norm.weight');
  put('lm_head', 'lm_head.weight');
  for (let i = 0; i < n_layers; i++) {
    const at = (name: string) => `model.layers.${i}.${name}`;
    const self = (...names: string[]) => names.map((name) => at(`self_attn.${name}`));
    const mlp = (...names: string[]) => names.map((name) => at(`mlp.${name}`));
    put(`layers.${i}.attn_norm`, at('input_layernorm.weight'));
    for (const kind of ['weight', 'bias']) {
      const end = kind === 'bias' ? '_bias' : '';
      put(`layers.${i}.qkv${end}`, ...self(`q_proj.${kind}`, `k_proj.${kind}`, `v_proj.${kind}`));
      put(`layers.${i}.qkv${end}`, ...self(`qkv_proj.${kind}`));
      put(`layers.${i}.o${end}`, ...self(`o_proj.${kind}`));
      put(`layers.${i}.gate_up${end}`, ...mlp(`gate_proj.${kind}`, `up_proj.${kind}`));
      put(`layers.${i}.gate_up${end}`, ...mlp(`gate_up_proj.${kind}`));
      put(`layers.${i}.down${end}`, ...mlp(`down_proj.${kind}`));
    }
    put(`layers.${i}.q_norm`, ...self('q_norm.weight'));
    put(`layers.${i}.k_norm`, ...self('k_norm.weight'));
    put(`layers.${i}.mlp_norm`, at(post_norms ? 'pre_feedforward_layernorm.weight' : 'post_attention_layernorm.weight'));
    if (!post_norms) continue;
    put(`layers.${i}.attn_post_norm`, at('post_attention_layernorm.weight'));
    put(`layers.${i}.mlp_post_norm`, at('post_feedforward_layernorm.weight'));
  }
  return tensors;
}
