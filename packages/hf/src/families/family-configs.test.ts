/** Configurations of the families against transformers' classes. */
import { readFileSync } from 'node:fs';
import type { DecoderConfig, Rope } from '@rowsmith/contracts';
import { describe, expect, it } from 'vitest';
import { readHfConfig } from '../folder/read-config.js';
import { families } from './families.js';
import { hfConfigJson } from './hf-config.js';

interface ConfigCase {
  readonly given: Record<string, unknown> & { readonly architectures: [string] };
  readonly expected: Partial<DecoderConfig>;
  readonly windows: number[];
  readonly ropes: { readonly frequencies: number[]; readonly scale: number }[];
  readonly scores: [number | null, number | null, number | null];
  readonly biases: [boolean, boolean, boolean];
}
const { configs } = JSON.parse(readFileSync(new URL('../../fixtures/family-configs.json', import.meta.url), 'utf8')) as {
  configs: ConfigCase[];
};
const read = (given: Record<string, unknown>) => readHfConfig(given, {}, 'config.json').config;

/** Frequencies of a rope for a short text, in f64. */
function frequencies({ theta, dim, scaling }: Rope, headDim: number): number[] {
  const turned = dim ?? headDim;
  return Array.from({ length: turned / 2 }, (_, i) => {
    const plain = theta ** ((-2 * i) / turned);
    if (scaling?.kind === 'linear') return plain / scaling.factor;
    if (scaling?.kind === 'longrope') return plain / (scaling.short_factor[i] ?? Number.NaN);
    if (scaling?.kind !== 'llama3') return plain;
    const turns = (scaling.original_max_position_embeddings * plain) / (2 * Math.PI);
    const smooth = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
    const share = Math.min(1, Math.max(0, smooth));
    return (1 - share) * (plain / scaling.factor) + share * plain;
  });
}

describe('config.json as transformers reads it', () => {
  configs.forEach(({ given, expected, windows, ropes, scores, biases }, at) => {
    it(`${at}: ${given.architectures[0]} ${Object.keys(given).slice(1).join(', ') || '(defaults)'}`, () => {
      const config = read(given);
      expect(config).toMatchObject(expected);
      expect(config.windows ?? windows.map(() => 0)).toEqual(windows);
      const [scalar, cap, logitCap] = scores;
      expect(config.attention_scale ?? 1 / Math.sqrt(config.head_dim)).toBeCloseTo(1 / Math.sqrt(scalar ?? config.head_dim), 14);
      expect([config.attention_softcap ?? null, config.logit_softcap ?? null]).toEqual([cap, logitCap]);
      expect([config.qkv_bias ?? false, config.o_bias ?? false, config.mlp_bias ?? false]).toEqual(biases);
      const gemma = given.architectures[0].startsWith('Gemma');
      expect([config.activation ?? 'silu', config.post_norms ?? false, config.embed_scale ?? 1]).toEqual(
        gemma ? ['gelu_tanh', true, Math.sqrt(config.hidden_size)] : ['silu', false, 1],
      );
      expect(config.qk_norm ?? false).toBe(/Qwen3|Gemma3/.test(given.architectures[0]));
      const mine = config.ropes ?? [{ theta: config.rope_theta }];
      expect(mine.length).toBe(ropes.length);
      ropes.forEach((rope, r) => {
        const computed = frequencies(mine[r] as Rope, config.head_dim);
        expect(computed.length).toBe(rope.frequencies.length);
        for (const [i, f] of computed.entries()) expect(f / (rope.frequencies[i] ?? 0)).toBeCloseTo(1, 5);
        const scaling = mine[r]?.scaling;
        expect(scaling?.kind === 'longrope' ? scaling.attention_factor : 1).toBeCloseTo(rope.scale, 12);
      });
      if (ropes.length > 1) expect(config.rope_of_layer).toEqual(windows.map((w) => (w > 0 ? 1 : 0)));
    });

    it(`${at}: written as config.json and read again it is the same`, () => {
      const { family, config } = readHfConfig(given, {}, 'config.json');
      expect(read(JSON.parse(hfConfigJson(family, config)) as Record<string, unknown>)).toEqual(config);
    });
  });
});

describe('what a family does not understand', () => {
  it.each(families.map((f) => f.architectures[0] as string))('%s refuses unknown fields and values by name', (architecture) => {
    const refuse = (field: string, value: unknown) =>
      expect(() => read({ architectures: [architecture], [field]: value }), field).toThrow(
        expect.objectContaining({ code: 'unsupported', message: expect.stringContaining(field) as string }),
      );
    refuse('num_local_experts', 8);
    refuse('quantization_config', { quant_method: 'awq' });
    refuse('attention_dropout', 0.1);
    refuse(architecture.startsWith('Gemma') ? 'hidden_activation' : 'hidden_act', 'relu');
    refuse('rope_scaling', { type: 'yarn', factor: 4 });
    refuse('is_encoder_decoder', true);
    refuse('constructor', 1);
  });

  const refused: [string, string, Record<string, unknown>][] = [
    ['MistralForCausalLM', 'layer_types', { layer_types: ['full_attention'] }],
    ['Qwen2ForCausalLM', 'use_mrope', { use_mrope: true }],
    ['Qwen2ForCausalLM', 'layer_types names sliding', { num_hidden_layers: 1, layer_types: ['sliding_attention'] }],
    ['Qwen2ForCausalLM', 'layer_types[0] = ', { num_hidden_layers: 1, layer_types: ['chunked_attention'] }],
    ['Qwen2ForCausalLM', 'partial_rotary_factor', { partial_rotary_factor: 0.5 }],
    ['Gemma2ForCausalLM', 'use_bidirectional_attention', { use_bidirectional_attention: true }],
    ['Gemma2ForCausalLM', 'sliding_window_size', { sliding_window_size: 1024 }],
    ['Gemma2ForCausalLM', 'layer_types names sliding', { sliding_window: null }],
    ['Gemma3ForCausalLM', 'attn_logit_softcapping', { attn_logit_softcapping: 50 }],
    ['Gemma3ForCausalLM', 'rope_parameters.rope_type', { rope_parameters: { rope_type: 'default', rope_theta: 1e6 } }],
    ['Gemma3ForCausalLM', '_sliding_window_pattern', { _sliding_window_pattern: 5 }],
    ['Gemma3ForCausalLM', 'sliding_window_pattern', { num_hidden_layers: 1, layer_types: ['full_attention'], sliding_window_pattern: 3 }],
    ['Phi3ForCausalLM', 'resid_pdrop', { resid_pdrop: 0.1 }],
    ['Phi3ForCausalLM', 'auto_map', { auto_map: { AutoModelForCausalLM: 'other.Model' } }],
    ['Phi3ForCausalLM', 'rope_scaling.short_mscale', { rope_scaling: { type: 'su', short_mscale: 1.1 } }],
    [
      'Phi3ForCausalLM',
      'original_max_position_embeddings is given twice',
      { rope_scaling: { type: 'su', original_max_position_embeddings: 8192, short_factor: [], long_factor: [] } },
    ],
    ['Gemma3ForConditionalGeneration', 'Gemma3ForConditionalGeneration', {}],
  ];
  it.each(refused)('%s: %s', (architecture, message, fields) => {
    expect(() => read({ architectures: [architecture], ...fields })).toThrow(
      expect.objectContaining({ code: 'unsupported', message: expect.stringContaining(message) as string }),
    );
  });

  it('values that no model has are bad_config', () => {
    for (const [architecture, fields] of [
      ['MistralForCausalLM', { sliding_window: 0 }],
      ['MistralForCausalLM', { sliding_window: '4096' }],
      ['Qwen2ForCausalLM', { layer_types: ['full_attention'] }],
      ['Qwen2ForCausalLM', { use_sliding_window: 1 }],
      ['Gemma2ForCausalLM', { query_pre_attn_scalar: 0 }],
      ['Gemma3ForCausalLM', { sliding_window_pattern: 0 }],
      ['LlamaForCausalLM', { rope_scaling: { type: 'llama3', factor: 8 } }],
      ['Phi3ForCausalLM', { partial_rotary_factor: 1.5 }],
      ['Phi3ForCausalLM', { rope_scaling: { type: 'longrope', short_factor: [1], long_factor: [1] } }],
      ['Phi3ForCausalLM', { rope_theta: null }],
    ] as const) {
      expect(() => read({ architectures: [architecture], ...fields }), JSON.stringify(fields)).toThrow(
        expect.objectContaining({ code: 'bad_config' }),
      );
    }
  });
});
