/** BERT (Devlin et al., arXiv 1810.04805) as transformers writes it: the encoder alone, with a classifier, or below a head that is left behind. */
import { canonicalJson, EncoderConfig, parseAs } from '@rowsmith/contracts';
import { ModelError, quoted } from '../errors.js';
import type { TensorSource } from '../tensor-source.js';
import { bertTensors } from './bert-tensors.js';
import { ConfigFields, type Json } from './config-fields.js';
import type { PlannedTensor } from './packed-plan.js';
import { fixedOfAll, harmlessOfAll } from './pretrained-fields.js';

const classifierArchitecture = 'BertForSequenceClassification';
/** Their heads, `cls.*`, predict words: a classifier of sequences has no use for them. */
const languageArchitectures = ['BertForMaskedLM', 'BertForPreTraining'];
export const bertArchitectures: readonly string[] = [classifierArchitecture, 'BertModel', ...languageArchitectures];

/** What transformers' BertConfig takes for a field that config.json leaves out. */
const defaults = {
  ...{ vocab_size: 30_522, hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12, intermediate_size: 3072, hidden_act: 'gelu' },
  ...{ max_position_embeddings: 512, type_vocab_size: 2, layer_norm_eps: 1e-12, pad_token_id: 0 },
} as const;

/** Training's own, or generation's; the dropouts act in training with transformers, which these jobs do without. */
const harmless = new Set([
  ...harmlessOfAll,
  ...['attention_probs_dropout_prob', 'hidden_dropout_prob', 'classifier_dropout', 'gradient_checkpointing'],
  ...['bos_token_id', 'eos_token_id', 'tie_word_embeddings', 'directionality'],
  ...['pooler_fc_size', 'pooler_num_attention_heads', 'pooler_num_fc_layers', 'pooler_size_per_head', 'pooler_type'],
]);
const fixed: Readonly<Record<string, readonly unknown[]>> = {
  ...fixedOfAll,
  is_decoder: [false],
  hidden_act: ['gelu'],
  position_embedding_type: ['absolute'],
  problem_type: [null, 'single_label_classification'],
};
const limits = { n_layers: 1000, hidden_size: 2 ** 20, intermediate_size: 2 ** 22, vocab_size: 2 ** 22, n_heads: 4096 } as const;

const architectureOf = (config: Json): unknown => {
  const { architectures } = config;
  return Array.isArray(architectures) && architectures.length === 1 ? architectures[0] : undefined;
};
export const isBert = (config: Json): boolean => bertArchitectures.some((name) => name === architectureOf(config));

export interface BertModel {
  readonly config: EncoderConfig;
  /** As ImportedModel's. */
  readonly plan: (file: string) => readonly PlannedTensor[];
}

/** Throws ModelError `unsupported` for a field that is not understood, by name, and `bad_config`. */
export function bertModel(json: Json, tensors: TensorSource, file: string): BertModel {
  refuseUnknown(json, file);
  const architecture = String(architectureOf(json));
  const fields = new ConfigFields({ ...defaults, ...json }, file);
  const { values } = fields;
  const source = bertTensors(tensors, languageArchitectures.includes(architecture) ? ['cls.'] : []);
  const classes = architecture === classifierArchitecture ? classNames(fields) : undefined;
  const candidate = {
    kind: 'encoder',
    family: 'bert',
    hidden_size: values['hidden_size'],
    n_layers: values['num_hidden_layers'],
    n_heads: values['num_attention_heads'],
    intermediate_size: values['intermediate_size'],
    vocab_size: values['vocab_size'],
    max_position_embeddings: values['max_position_embeddings'],
    type_vocab_size: values['type_vocab_size'],
    norm_eps: values['layer_norm_eps'],
    activation: values['hidden_act'],
    pooler: source.hasPooler,
    ...(classes && { classes }),
    pad_token_id: values['pad_token_id'] ?? null,
  };
  const config = checked(candidate, fields);
  return { config, plan: (name) => source.plan(config, name) };
}

function checked(candidate: unknown, fields: ConfigFields): EncoderConfig {
  let config: EncoderConfig;
  try {
    config = parseAs(EncoderConfig, candidate, 'config');
  } catch (cause) {
    throw new ModelError('bad_config', (cause as Error).message, { file: fields.file, cause });
  }
  if (config.hidden_size % config.n_heads !== 0)
    throw fields.bad(`hidden_size ${config.hidden_size} is not a multiple of ${config.n_heads} heads`);
  for (const [field, limit] of Object.entries(limits) as [keyof typeof limits, number][])
    if (config[field] > limit) throw fields.bad(`${field} = ${config[field]} is larger than any known model (limit ${limit})`);
  if (config.pad_token_id !== null && config.pad_token_id >= config.vocab_size)
    throw fields.bad(`pad_token_id = ${config.pad_token_id} is outside the vocabulary of ${config.vocab_size}`);
  return config;
}

/** `id2label` in the order of its numbers; transformers' names of two classes when there is none. */
function classNames(fields: ConfigFields): string[] {
  const labels = fields.object('id2label');
  const count = labels ? Object.keys(labels).length : (fields.optionalNumber('num_labels') ?? 2);
  const names = Array.from({ length: count }, (_, i) => (labels ? labels[String(i)] : `LABEL_${i}`));
  const whole = names.filter((name): name is string => typeof name === 'string' && name !== '');
  if (whole.length !== count || new Set(whole).size !== count)
    throw fields.bad(`id2label does not name the classes 0 to ${count - 1}, each differently`);
  if (count < 2) throw fields.refuse('id2label has one class: regression is not supported');
  return whole;
}

const read = new Set(['id2label', 'num_labels', ...Object.keys(defaults)]);

function refuseUnknown(config: Json, file: string): void {
  const refuse = (message: string) => new ModelError('unsupported', message, { file });
  const type = config['model_type'];
  if (type !== undefined && type !== 'bert')
    throw refuse(`model_type ${quoted(String(type))} does not belong to ${architectureOf(config)}`);
  for (const [field, value] of Object.entries(config)) {
    const allowed = Object.hasOwn(fixed, field) ? fixed[field] : undefined;
    if (allowed) {
      if (value !== undefined && allowed.some((a) => canonicalJson(a) === canonicalJson(value))) continue;
      const only = allowed.map((a) => JSON.stringify(a)).join(' or ');
      throw refuse(`${field} = ${quoted(JSON.stringify(value))} is not supported (only ${only})`);
    }
    if (!read.has(field) && !harmless.has(field)) throw refuse(`field ${quoted(field)} is not understood for ${architectureOf(config)}`);
  }
}
