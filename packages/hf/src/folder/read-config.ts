import type { DecoderConfig } from '@rowsmith/contracts';
import { canonicalJson } from '@rowsmith/contracts';
import { ModelError, quoted } from '../errors.js';
import { bertArchitectures } from '../families/bert.js';
import { checkedConfig } from '../families/checked-config.js';
import { ConfigFields, type Json } from '../families/config-fields.js';
import type { DecoderFamily, Fixed } from '../families/decoder-family.js';
import { families } from '../families/families.js';
import { fixedOfAll, harmlessOfAll } from '../families/pretrained-fields.js';

/** Fields of every family that become the decoder's description. */
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
  'tie_word_embeddings',
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
];

/**
 * The decoder that a Hugging Face config.json describes. Every field is either read, known to change nothing, or known at the values
 * that are computed; any other is refused by name (`unsupported`), because ignoring it would train another model than the one published.
 * Fields that are absent have the values that transformers' configuration class gives them.
 * generation: generation_config.json, whose end tokens are added.
 */
export function readHfConfig(
  config: Json,
  generation: Json,
  file: string,
): { readonly family: DecoderFamily; readonly config: DecoderConfig } {
  const family = findFamily(config, file);
  refuseUnknown(family, config, file);
  const values = { ...family.config.defaults, ...config };
  const heads = values['num_attention_heads'];
  const base = checkedConfig(
    {
      family: family.family,
      hidden_size: values['hidden_size'],
      n_layers: values['num_hidden_layers'],
      n_heads: heads,
      n_kv_heads: values['num_key_value_heads'] ?? heads,
      head_dim: values['head_dim'] ?? Math.floor(Number(values['hidden_size']) / Number(heads)),
      intermediate_size: values['intermediate_size'],
      vocab_size: values['vocab_size'],
      max_position_embeddings: values['max_position_embeddings'],
      norm_eps: values['rms_norm_eps'],
      rope_theta: 1,
      tie_embeddings: values['tie_word_embeddings'],
      bos_token_id: tokenId(config, values, 'bos_token_id'),
      eos_token_ids: [...new Set([...ids(tokenId(config, values, 'eos_token_id')), ...ids(generation['eos_token_id'])])],
      pad_token_id: tokenId(config, values, 'pad_token_id'),
    },
    file,
  );
  const part = family.config.describe(new ConfigFields(values, file), base);
  return { family, config: checkedConfig({ ...base, ...part }, file) };
}

function refuseUnknown(family: DecoderFamily, config: Json, file: string): void {
  const refuse = (message: string) => new ModelError('unsupported', message, { file });
  const { read, harmless, fixed } = family.config;
  const known = new Set([...readFields, ...read, ...harmlessOfAll, ...harmless]);
  for (const [field, value] of Object.entries(config)) {
    if (known.has(field)) continue;
    const allowed: Fixed | undefined = own(fixed, field) ?? own(fixedOfAll, field);
    if (!allowed) throw refuse(`field ${quoted(field)} is not understood for ${family.architectures[0]}`);
    if (value === undefined || !allowed.some((a) => canonicalJson(a) === canonicalJson(value)))
      throw refuse(
        `${field} = ${quoted(JSON.stringify(value))} is not supported (only ${allowed.map((a) => JSON.stringify(a)).join(' or ')})`,
      );
  }
}

const own = (record: Readonly<Record<string, Fixed>>, field: string) => (Object.hasOwn(record, field) ? record[field] : undefined);

function findFamily(config: Json, file: string): DecoderFamily {
  const architectures = config['architectures'];
  const names: unknown[] = Array.isArray(architectures) ? architectures : [];
  const family = families.find((f) => names.length === 1 && f.architectures.some((a) => a === names[0]));
  if (!family) {
    const known = [...families.flatMap((f) => f.architectures), ...bertArchitectures].join(', ');
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

/** A token id, or the family's default when the field is absent and the vocabulary reaches that far (tiny models' does not). */
function tokenId(config: Json, values: Json, field: string): unknown {
  const id = values[field] ?? null;
  if (config[field] !== undefined) return id;
  return typeof id === 'number' && id >= Number(values['vocab_size']) ? null : id;
}

/** Token ids as one number or a list; anything else is left for the schema to refuse. */
function ids(value: unknown): unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}
