import { DecoderConfig, parseAs } from '@rowsmith/contracts';
import { ModelError, quoted } from '../errors.js';
import { type DecoderFamily, families } from '../families/decoder-family.js';

type Json = Readonly<Record<string, unknown>>;

/** Fields that become the decoder's description. */
const readFields = [
  'hidden_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'head_dim',
  'intermediate_size',
  'vocab_size',
  'max_position_embeddings',
  'rms_norm_eps',
  'rope_theta',
  'rope_parameters',
  'tie_word_embeddings',
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
];

/**
 * The decoder that a Hugging Face config.json describes. Every field is either read, known to change nothing, or known at the one value
 * that is computed; any other is refused by name (`unsupported`), because ignoring it would train another model than the one published.
 * generation: generation_config.json, whose end tokens are added.
 */
export function readHfConfig(
  config: Json,
  generation: Json,
  file: string,
): { readonly family: DecoderFamily; readonly config: DecoderConfig } {
  const refuse = (message: string) => new ModelError('unsupported', message, { file });
  const family = findFamily(config, file);
  for (const [field, value] of Object.entries(config)) {
    if (readFields.includes(field) || family.config.harmless.includes(field)) continue;
    const allowed = family.config.fixed[field];
    if (!allowed) throw refuse(`field ${quoted(field)} is not understood for ${family.architectures[0]}`);
    if (!allowed.some((a) => a === value))
      throw refuse(`${field} = ${quoted(JSON.stringify(value))} is not supported (only ${JSON.stringify(allowed[0])})`);
  }
  const candidate = {
    family: family.family,
    hidden_size: config['hidden_size'],
    n_layers: config['num_hidden_layers'],
    n_heads: config['num_attention_heads'],
    n_kv_heads: config['num_key_value_heads'] ?? config['num_attention_heads'],
    head_dim: config['head_dim'] ?? Number(config['hidden_size']) / Number(config['num_attention_heads']),
    intermediate_size: config['intermediate_size'],
    vocab_size: config['vocab_size'],
    max_position_embeddings: config['max_position_embeddings'] ?? 2048,
    norm_eps: config['rms_norm_eps'] ?? 1e-6,
    rope_theta: ropeTheta(config, refuse),
    tie_embeddings: config['tie_word_embeddings'] ?? false,
    bos_token_id: config['bos_token_id'] ?? null,
    eos_token_ids: [...new Set([...ids(config['eos_token_id']), ...ids(generation['eos_token_id'])])],
    pad_token_id: config['pad_token_id'] ?? null,
  };
  return { family, config: checkedConfig(candidate, file) };
}

/** Shape rules that the schema cannot say. */
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
  const limits = {
    n_layers: 1000,
    hidden_size: 2 ** 20,
    intermediate_size: 2 ** 22,
    vocab_size: 2 ** 22,
    n_heads: 4096,
    head_dim: 4096,
  } as const;
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
  return config;
}

function findFamily(config: Json, file: string): DecoderFamily {
  const architectures = config['architectures'];
  const names: unknown[] = Array.isArray(architectures) ? architectures : [];
  const family = families.find((f) => names.length === 1 && f.architectures.some((a) => a === names[0]));
  if (!family) {
    const known = families.flatMap((f) => f.architectures).join(', ');
    throw new ModelError(
      'unsupported',
      `architectures = ${quoted(JSON.stringify(architectures ?? null))} is not supported (supported: ${known})`,
      { file },
    );
  }
  if (config['model_type'] !== undefined && config['model_type'] !== family.modelType) {
    throw new ModelError(
      'unsupported',
      `model_type ${quoted(String(config['model_type']))} does not belong to ${family.architectures[0]}`,
      { file },
    );
  }
  return family;
}

/** transformers 5 writes rope_parameters {rope_theta, rope_type}, older versions rope_theta. */
function ropeTheta(config: Json, refuse: (message: string) => ModelError): unknown {
  const parameters = config['rope_parameters'];
  if (parameters === undefined || parameters === null) return config['rope_theta'] ?? 10_000;
  if (typeof parameters !== 'object' || Array.isArray(parameters)) throw refuse('rope_parameters is not an object');
  for (const [field, value] of Object.entries(parameters)) {
    if (field === 'rope_theta' || (field === 'rope_type' && value === 'default')) continue;
    if (field === 'partial_rotary_factor' && value === 1) continue;
    throw refuse(`rope_parameters.${field} = ${quoted(JSON.stringify(value))} is not supported (only rope_type "default")`);
  }
  return (parameters as Json)['rope_theta'] ?? config['rope_theta'] ?? 10_000;
}

/** Token ids as one number or a list; anything else is left for the schema to refuse. */
function ids(value: unknown): unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}
