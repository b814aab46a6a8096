import { DecoderConfig, parseAs } from '@rowsmith/contracts';
import { ModelError } from '../errors.js';

const limits = {
  n_layers: 1000,
  hidden_size: 2 ** 20,
  intermediate_size: 2 ** 22,
  vocab_size: 2 ** 22,
  n_heads: 4096,
  head_dim: 4096,
} as const;

/** A description as the schema wants it, and the rules across fields that a schema cannot say. Throws ModelError `bad_config`. */
export function checkedConfig(candidate: unknown, file: string): DecoderConfig {
  let config: DecoderConfig;
  try {
    config = parseAs(DecoderConfig, candidate, 'config');
  } catch (cause) {
    throw new ModelError('bad_config', (cause as Error).message, { file, cause });
  }
  const bad = (message: string) => new ModelError('bad_config', message, { file });
  if (config.n_heads % config.n_kv_heads !== 0)
    throw bad(`${config.n_heads} heads are not a multiple of ${config.n_kv_heads} key-value heads`);
  if (config.head_dim % 2 !== 0) throw bad(`head size ${config.head_dim} is odd; rotary positions need pairs`);
  for (const [field, limit] of Object.entries(limits) as [keyof typeof limits, number][]) {
    if (config[field] > limit) throw bad(`${field} = ${config[field]} is larger than any known model (limit ${limit})`);
  }
  for (const [field, id] of [
    ['bos_token_id', config.bos_token_id],
    ['pad_token_id', config.pad_token_id],
    ...config.eos_token_ids.map((id) => ['eos_token_id', id]),
  ] as [string, number | null][]) {
    if (id !== null && id >= config.vocab_size) throw bad(`${field} = ${id} is outside the vocabulary of ${config.vocab_size}`);
  }
  for (const field of ['windows', 'rope_of_layer'] as const) {
    const list = config[field];
    if (list && list.length !== config.n_layers) throw bad(`${field} has ${list.length} entries for ${config.n_layers} layers`);
  }
  for (const at of config.rope_of_layer ?? []) {
    if (at >= (config.ropes?.length ?? 0)) throw bad(`rope_of_layer names rope ${at}, there are ${config.ropes?.length ?? 0}`);
  }
  for (const { dim = config.head_dim, scaling } of config.ropes ?? []) {
    if (dim % 2 !== 0 || dim > config.head_dim) throw bad(`a rope turns ${dim} dimensions of a head of ${config.head_dim}`);
    if (scaling?.kind === 'longrope' && (scaling.short_factor.length !== dim / 2 || scaling.long_factor.length !== dim / 2))
      throw bad(`long rope has ${scaling.short_factor.length} and ${scaling.long_factor.length} factors, ${dim / 2} are needed`);
  }
  return config;
}
