import type { DecoderConfig, Rope } from '@rowsmith/contracts';
import { ConfigFields, type Json } from './config-fields.js';
import type { DecoderFamily, FamilyPart } from './decoder-family.js';
import {
  gemma2Gguf,
  gemmaDefaults,
  gemmaDocument,
  gemmaFields,
  gemmaFixed,
  gemmaPart,
  gemmaShape,
  ggufScalar,
  ggufWindows,
} from './gemma.js';
import { gemmaLayerRules, wholeRules } from './packed-rules.js';
import { ropeDocument, ropeFrom } from './rope.js';
import { givenLayerTypes, type LayerType, patternTypes, windowsOf } from './windows.js';

const globalTheta = 1_000_000;
const localTheta = 10_000;
const defaultPattern = 6;

/**
 * layer_types, or every sliding_window_pattern-th layer global; both given: they have to say the same. `_sliding_window_pattern` is written by
 * transformers 5 beside layer_types and read by nobody: without them it must be the default, which is what transformers then takes.
 */
function layerTypes(fields: ConfigFields, base: DecoderConfig): LayerType[] {
  const given = givenLayerTypes(fields, base);
  const pattern = (field: string): LayerType[] | null => {
    const every = fields.optionalNumber(field);
    if (every === null) return null;
    if (!Number.isInteger(every) || every < 1) throw fields.bad(`${field} = ${every} is not a whole number of at least 1`);
    return patternTypes(base.n_layers, every);
  };
  const named = pattern('sliding_window_pattern');
  if (given && named && given.join() !== named.join()) throw fields.refuse('sliding_window_pattern does not agree with layer_types');
  const types = given ?? named ?? patternTypes(base.n_layers, defaultPattern);
  const written = pattern('_sliding_window_pattern');
  if (!given && written && written.join() !== types.join())
    throw fields.refuse('_sliding_window_pattern without layer_types is not what transformers takes; name it sliding_window_pattern');
  return types;
}

/** Old form: rope_theta and rope_scaling of global layers, rope_local_base_freq of sliding ones. transformers 5: a dictionary for each type. */
function bothRopes(fields: ConfigFields, base: DecoderConfig): { readonly full: Rope; readonly sliding: Rope } {
  const nested = fields.object('rope_parameters');
  const old = fields.object('rope_scaling');
  if (nested && old) throw fields.refuse('rope_scaling and rope_parameters are both given; keep the one that is meant');
  for (const field of Object.keys(nested ?? {})) {
    if (field !== 'full_attention' && field !== 'sliding_attention')
      throw fields.refuse(`rope_parameters.${field} is not understood (only full_attention and sliding_attention)`);
  }
  const one = (type: LayerType, theta: number, scaling: Json | null) => {
    const where = nested ? `rope_parameters.${type}` : 'rope_scaling';
    const found = nested?.[type] ?? scaling ?? {};
    if (typeof found !== 'object' || Array.isArray(found)) throw fields.refuse(`${where} is not an object`);
    // No partial_rotary_factor beside: transformers takes none for this family.
    return ropeFrom(new ConfigFields({ rope_theta: theta }, fields.file), found as Json, where, base);
  };
  return {
    full: one('full_attention', fields.optionalNumber('rope_theta') ?? globalTheta, old),
    sliding: one('sliding_attention', fields.optionalNumber('rope_local_base_freq') ?? localTheta, null),
  };
}

/** rope_theta for global layers; `ropes` [global, sliding] where sliding layers differ. */
function ropePart(full: Rope, sliding: Rope, types: readonly LayerType[]): FamilyPart {
  return {
    rope_theta: full.theta,
    ropes: [full, sliding],
    rope_of_layer: types.map((type) => (type === 'sliding_attention' ? 1 : 0)),
  };
}

/** Gemma 3, text: norms of query and key heads, five sliding layers to one global, each kind with its own rotary base; no soft-capped scores. */
export const gemma3: DecoderFamily = {
  family: 'gemma3',
  architectures: ['Gemma3ForCausalLM'],
  modelType: 'gemma3_text',
  config: {
    defaults: { ...gemmaDefaults, vocab_size: 262_208, max_position_embeddings: 131_072, final_logit_softcapping: null },
    read: [
      ...gemmaFields,
      'rope_theta',
      'rope_scaling',
      'rope_parameters',
      'rope_local_base_freq',
      'sliding_window_pattern',
      '_sliding_window_pattern',
    ],
    harmless: [],
    // transformers keeps attn_logit_softcapping of this family and does not use it.
    fixed: { ...gemmaFixed, attn_logit_softcapping: [null], partial_rotary_factor: [1] },
    describe: (fields, base) => {
      const types = layerTypes(fields, base);
      const { full, sliding } = bothRopes(fields, base);
      return {
        ...gemmaPart(fields, base),
        qk_norm: true,
        ...ropePart(full, sliding, types),
        ...windowsOf(fields, types, fields.optionalNumber('sliding_window')),
      };
    },
    document: (c) => {
      const [full = { theta: c.rope_theta }, sliding = full] = c.ropes ?? [];
      return {
        ...gemmaDocument(c),
        rope_parameters: { full_attention: ropeDocument(full, c.head_dim), sliding_attention: ropeDocument(sliding, c.head_dim) },
      };
    },
  },
  gguf: {
    ...gemma2Gguf,
    architecture: 'gemma3',
    read: ['final_logit_softcapping', 'attention.sliding_window', 'attention.sliding_window_pattern', 'rope.freq_base_swa'],
    describe: (file, base) => {
      const types = patternTypes(base.n_layers, file.number('attention.sliding_window_pattern') ?? defaultPattern);
      const cap = file.number('final_logit_softcapping');
      const full: Rope = base.ropes?.[0] ?? { theta: base.rope_theta };
      return {
        ...gemmaShape(base, ggufScalar(base, 62)),
        qk_norm: true,
        ...(cap === undefined ? {} : { logit_softcap: cap }),
        ...ropePart(full, { theta: file.number('rope.freq_base_swa') ?? localTheta }, types),
        ...ggufWindows(file, types, 1024),
      };
    },
  },
  packed: { whole: wholeRules, layer: gemmaLayerRules },
  normsPlusOne: true,
  unusedTensors: [],
};
