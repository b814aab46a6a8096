import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ModelError } from '../errors.js';
import { readHfConfig } from './read-config.js';

const base = JSON.parse(readFileSync(new URL('../../fixtures/tiny-llama/config.json', import.meta.url), 'utf8')) as Record<string, unknown>;
const read = (change: Record<string, unknown> = {}, generation: Record<string, unknown> = {}) =>
  readHfConfig({ ...base, ...change }, generation, 'config.json').config;
const without = (...fields: string[]) => Object.fromEntries(Object.entries(base).filter(([field]) => !fields.includes(field)));

describe('readHfConfig', () => {
  it('describes the decoder', () => {
    expect(read()).toEqual({
      family: 'llama',
      hidden_size: 32,
      n_layers: 2,
      n_heads: 4,
      n_kv_heads: 2,
      head_dim: 8,
      intermediate_size: 32,
      vocab_size: 268,
      max_position_embeddings: 128,
      norm_eps: 1e-5,
      rope_theta: 10000,
      tie_embeddings: true,
      bos_token_id: 1,
      eos_token_ids: [2],
      pad_token_id: 2,
    });
  });

  it("fills in transformers' defaults of LlamaConfig", () => {
    const { config } = readHfConfig(
      without('num_key_value_heads', 'rope_theta', 'rope_scaling', 'tie_word_embeddings', 'pad_token_id', 'rms_norm_eps'),
      {},
      'config.json',
    );
    expect(config).toMatchObject({ n_kv_heads: 4, rope_theta: 10000, tie_embeddings: false, pad_token_id: null, norm_eps: 1e-6 });
  });

  it('takes the rope parameters of transformers 5 and all end tokens', () => {
    expect(read({ rope_theta: undefined, rope_parameters: { rope_type: 'default', rope_theta: 500000 } }).rope_theta).toBe(500000);
    expect(read({ eos_token_id: [2, 5] }, { eos_token_id: [5, 7] }).eos_token_ids).toEqual([2, 5, 7]);
    expect(read({ head_dim: 16 }).head_dim).toBe(16);
  });

  const refused: Record<string, Record<string, unknown>> = {
    'rope_scaling is not an object': { rope_scaling: 'linear' },
    'rope_scaling.type = ': { rope_scaling: { type: 'dynamic', factor: 2 } },
    'rope_scaling.rope_type = ': { rope_scaling: { rope_type: 'su', factor: 2 } },
    'rope_scaling.rope_type and rope_scaling.type disagree': { rope_scaling: { rope_type: 'linear', type: 'llama3', factor: 2 } },
    'rope_scaling.beta_fast = ': { rope_scaling: { rope_type: 'linear', factor: 2, beta_fast: 32 } },
    'rope_scaling and rope_parameters are both': { rope_scaling: { rope_type: 'linear', factor: 2 }, rope_parameters: { rope_theta: 1 } },
    'rope_parameters.rope_type = ': { rope_parameters: { rope_type: 'yarn', rope_theta: 1, factor: 4 } },
    'rope_parameters.full_attention = ': { rope_parameters: { full_attention: { rope_theta: 1 } } },
    'rope_parameters.factor = ': { rope_parameters: { rope_theta: 1, factor: 2 } },
    'partial_rotary_factor = ': { partial_rotary_factor: 0.5 },
    'hidden_act = ': { hidden_act: 'gelu' },
    'quantization_config = ': { quantization_config: { bits: 4 } },
    'sliding_window = ': { sliding_window: 4096 },
    'pretraining_tp = ': { pretraining_tp: 2 },
    'field "num_experts"': { num_experts: 8 },
    'field "auto_map"': { auto_map: { AutoModel: 'x.py' } },
    'field "logit_scale"': { logit_scale: 0.5 },
    'architectures = ': { architectures: ['Gemma3ForConditionalGeneration'] },
    'model_type "mistral"': { model_type: 'mistral' },
    'model_type "llama"': { architectures: ['MistralForCausalLM'] },
  };
  for (const [message, change] of Object.entries(refused)) {
    it(`refuses by name: ${message}`, () => {
      expect(() => read(change)).toThrow(`config.json: ${message}`);
      expect(() => read(change)).toThrow(ModelError);
    });
  }

  it('refuses values that no model has', () => {
    for (const change of [
      { hidden_size: -1 },
      { hidden_size: '32' },
      { num_hidden_layers: 1.5 },
      { num_attention_heads: 3 },
      { num_key_value_heads: 3 },
      { head_dim: 7 },
      { num_hidden_layers: 10 ** 9 },
      { vocab_size: 2 ** 40 },
      { bos_token_id: 268 },
      { eos_token_id: 'x' },
      { rms_norm_eps: 0 },
      { rope_theta: null, hidden_size: null },
    ]) {
      expect(() => read(change), JSON.stringify(change)).toThrow(expect.objectContaining({ code: 'bad_config' }));
    }
    expect(() => readHfConfig({}, {}, 'config.json')).toThrow(/architectures = "null" is not supported/);
  });
});
