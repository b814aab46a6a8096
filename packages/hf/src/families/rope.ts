import type { DecoderConfig, Rope, RopeScaling } from '@rowsmith/contracts';
import { quoted } from '../errors.js';
import { ConfigFields, type Json } from './config-fields.js';
import type { FamilyPart } from './decoder-family.js';

/** Fields that `oneRope` reads. */
export const ropeFields = ['rope_theta', 'rope_scaling', 'rope_parameters', 'partial_rotary_factor', 'original_max_position_embeddings'];

const named = ['type', 'rope_type', 'rope_theta', 'partial_rotary_factor'];
const fieldsOfKind: Readonly<Record<RopeScaling['kind'] | 'default', readonly string[]>> = {
  default: [],
  linear: ['factor'],
  llama3: ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'],
  longrope: ['short_factor', 'long_factor', 'factor', 'attention_factor', 'original_max_position_embeddings'],
};

export interface RopeRules {
  /** Older names of a type (Phi-3 wrote "su" for longrope). */
  readonly aliases?: Readonly<Record<string, string>>;
  /** The family can rotate only the first dimensions of a head. */
  readonly partial?: boolean;
}

/** Rotary positions that are the same in all layers. Old form: rope_theta and rope_scaling beside it; transformers 5: one rope_parameters. */
export function oneRope(fields: ConfigFields, base: DecoderConfig, rules: RopeRules = {}): FamilyPart {
  const old = fields.object('rope_scaling');
  const current = fields.object('rope_parameters');
  if (old && current) throw fields.refuse('rope_scaling and rope_parameters are both given; keep the one that is meant');
  const where = old ? 'rope_scaling' : 'rope_parameters';
  const rope = ropeFrom(fields, old ?? current ?? {}, where, base, rules);
  return plain(rope) ? { rope_theta: rope.theta } : { rope_theta: rope.theta, ropes: [rope] };
}

export const plain = (rope: Rope) => rope.dim === undefined && rope.scaling === undefined;

/** One dictionary of rope parameters. Its fields win over those beside it, as in transformers. */
export function ropeFrom(fields: ConfigFields, parameters: Json, where: string, base: DecoderConfig, rules: RopeRules = {}): Rope {
  const type = ropeType(fields, parameters, where, rules.aliases ?? {});
  for (const [field, value] of Object.entries(parameters)) {
    if (!named.includes(field) && !fieldsOfKind[type].includes(field))
      throw fields.refuse(`${where}.${field} = ${quoted(JSON.stringify(value))} is not understood for rope type "${type}"`);
  }
  const inside = new ConfigFields({ ...pick(fields.values, ['rope_theta', 'partial_rotary_factor']), ...parameters }, fields.file);
  const theta = inside.number('rope_theta');
  const share = inside.optionalNumber('partial_rotary_factor') ?? 1;
  if (share !== 1 && !rules.partial) throw fields.refuse(`partial_rotary_factor = ${share} is not supported for ${base.family} (only 1)`);
  const dim = Math.floor(base.head_dim * share);
  if (!(share > 0 && share <= 1) || dim % 2 !== 0 || dim < 2)
    throw fields.bad(`partial_rotary_factor = ${share} of head size ${base.head_dim} is no even number of dimensions`);
  const rope: Rope = dim === base.head_dim ? { theta } : { theta, dim };
  return type === 'default' ? rope : { ...rope, scaling: scalingFrom(fields, inside, type, base, dim) };
}

function ropeType(fields: ConfigFields, parameters: Json, where: string, aliases: Readonly<Record<string, string>>) {
  const values = ['rope_type', 'type'].filter((field) => parameters[field] !== undefined && parameters[field] !== null);
  const types = values.map((field) => {
    const value = parameters[field];
    const type = typeof value === 'string' ? (aliases[value] ?? value) : '';
    if (!Object.hasOwn(fieldsOfKind, type)) {
      const known = Object.keys(fieldsOfKind).join(', ');
      throw fields.refuse(`${where}.${field} = ${quoted(JSON.stringify(value))} is not supported (supported: ${known})`);
    }
    return type as keyof typeof fieldsOfKind;
  });
  if (types[1] !== undefined && types[1] !== types[0]) throw fields.refuse(`${where}.rope_type and ${where}.type disagree`);
  return types[0] ?? 'default';
}

function scalingFrom(fields: ConfigFields, inside: ConfigFields, type: RopeScaling['kind'], base: DecoderConfig, dim: number): RopeScaling {
  if (type === 'linear') return { kind: 'linear', factor: inside.number('factor') };
  const original = originalLength(fields, inside, base);
  if (type === 'llama3') {
    return {
      kind: 'llama3',
      factor: inside.number('factor'),
      low_freq_factor: inside.number('low_freq_factor'),
      high_freq_factor: inside.number('high_freq_factor'),
      original_max_position_embeddings: original,
    };
  }
  const factor = inside.optionalNumber('factor') ?? base.max_position_embeddings / original;
  return {
    kind: 'longrope',
    short_factor: factors(inside, 'short_factor', dim / 2),
    long_factor: factors(inside, 'long_factor', dim / 2),
    original_max_position_embeddings: original,
    attention_factor: inside.optionalNumber('attention_factor') ?? longropeAttention(factor, original),
  };
}

/** LongRoPE (Ding et al., arXiv 2402.13753): cosines and sines times sqrt(1 + ln(factor) / ln(original length)), 1 when nothing is stretched. */
export const longropeAttention = (factor: number, original: number) =>
  factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));

/** transformers takes the field beside the dictionary first; where both are given and differ, nobody can say which was trained. */
function originalLength(fields: ConfigFields, inside: ConfigFields, base: DecoderConfig): number {
  const field = 'original_max_position_embeddings';
  const beside = fields.optionalNumber(field);
  const within = inside.optionalNumber(field);
  if (beside !== null && within !== null && beside !== within) throw fields.refuse(`${field} is given twice, as ${beside} and ${within}`);
  return beside ?? within ?? base.max_position_embeddings;
}

function factors(inside: ConfigFields, field: string, count: number): number[] {
  const list = inside.values[field];
  if (!Array.isArray(list) || !list.every((x): x is number => typeof x === 'number') || list.length !== count)
    throw inside.bad(`${field} is not a list of ${count} numbers, one for each pair of rotated dimensions`);
  return list;
}

const pick = (from: Json, names: readonly string[]): Json =>
  Object.fromEntries(names.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])));

/** rope_parameters of transformers 5 for one rope, the inverse of `ropeFrom`. */
export function ropeDocument(rope: Rope, headDim: number): Json {
  const { kind, ...rest } = rope.scaling ?? { kind: 'default' };
  return {
    rope_theta: rope.theta,
    rope_type: kind,
    ...(rope.dim === undefined ? {} : { partial_rotary_factor: rope.dim / headDim }),
    ...rest,
  };
}
