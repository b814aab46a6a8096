import { type DecoderConfig, type EncoderConfig, isEncoder, type ModelConfig, type Rope } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';

/** Throws EngineError `invalid_model` for an encoder: it has no next token. */
export function decoderConfigOf(config: ModelConfig): DecoderConfig {
  if (isEncoder(config)) fail(`the model is an encoder (${config.family}): it classifies and cannot be used as a language model`);
  return config;
}

/** Throws EngineError `invalid_model` for a decoder, and for heads that do not divide the width. */
export function encoderConfigOf(config: ModelConfig): EncoderConfig {
  if (!isEncoder(config)) fail(`the model is a decoder (${config.family}): it cannot be used as a classifier`);
  if (config.hidden_size % config.n_heads !== 0) fail(`${config.n_heads} heads cannot share a width of ${config.hidden_size} evenly`);
  return config;
}

/** What the schema of a config cannot say. Throws EngineError `invalid_model` naming the field at fault. */
export function checkConfig(config: DecoderConfig): void {
  const { n_heads, n_kv_heads, head_dim, n_layers, windows, ropes, rope_of_layer } = config;
  if (n_heads % n_kv_heads !== 0) fail(`${n_heads} heads cannot share ${n_kv_heads} key/value heads evenly`);
  if (head_dim % 2 !== 0) fail(`head_dim ${head_dim} is odd: rotary positions need pairs`);
  if (windows && windows.length !== n_layers) fail(`windows: ${windows.length} entries for ${n_layers} layers`);
  if (rope_of_layer && rope_of_layer.length !== n_layers) fail(`rope_of_layer: ${rope_of_layer.length} entries for ${n_layers} layers`);
  const count = ropes?.length ?? 1;
  const unknown = rope_of_layer?.find((index) => index >= count);
  if (unknown !== undefined) fail(`rope_of_layer names rope ${unknown} of ${count}`);
  ropes?.forEach((rope, i) => {
    checkRope(rope, `ropes[${i}]`, head_dim);
  });
}

function checkRope({ dim, scaling }: Rope, name: string, headDim: number): void {
  const turning = dim ?? headDim;
  if (turning % 2 !== 0 || turning > headDim) fail(`${name}.dim ${turning} must be even and at most head_dim ${headDim}`);
  if (scaling?.kind !== 'longrope') return;
  for (const field of ['short_factor', 'long_factor'] as const)
    if (scaling[field].length !== turning / 2)
      fail(`${name}.scaling.${field}: ${scaling[field].length} factors, expected ${turning / 2}, one for each pair`);
}

function fail(message: string): never {
  throw new EngineError('precheck', 'invalid_model', message);
}
