import type { DecoderConfig } from '@rowsmith/contracts';
import { quoted } from '../errors.js';
import type { ConfigFields } from './config-fields.js';
import type { FamilyPart } from './decoder-family.js';

export type LayerType = 'full_attention' | 'sliding_attention';

/** layer_types of the config, checked; null when it gives none. */
export function givenLayerTypes(fields: ConfigFields, base: DecoderConfig): LayerType[] | null {
  const given = fields.values['layer_types'] ?? null;
  if (given === null) return null;
  if (!Array.isArray(given) || given.length !== base.n_layers) throw fields.bad(`layer_types is not a list of ${base.n_layers} names`);
  return given.map((type: unknown, i) => {
    if (type !== 'full_attention' && type !== 'sliding_attention')
      throw fields.refuse(`layer_types[${i}] = ${quoted(JSON.stringify(type))} is not supported (only full_attention, sliding_attention)`);
    return type;
  });
}

/** Every `every`-th layer sees all. */
export const patternTypes = (layers: number, every: number): LayerType[] =>
  Array.from({ length: layers }, (_, i) => ((i + 1) % every === 0 ? 'full_attention' : 'sliding_attention'));

/** `windows` of the layers that slide; nothing when none does. window null: refused if one does. */
export function windowsOf(fields: ConfigFields, types: readonly LayerType[], window: number | null): FamilyPart {
  if (!types.includes('sliding_attention')) return {};
  if (window === null) throw fields.refuse('layer_types names sliding layers, but sliding_window gives them no window');
  if (!Number.isInteger(window) || window < 1) throw fields.bad(`sliding_window = ${window} is not a whole number of at least 1`);
  return { windows: types.map((type) => (type === 'sliding_attention' ? window : 0)) };
}

/** layer_types and sliding_window of config.json, the inverse. */
export function windowsDocument(c: DecoderConfig) {
  const window = c.windows?.find((w) => w > 0) ?? null;
  const types: LayerType[] = Array.from({ length: c.n_layers }, (_, i) => (c.windows?.[i] ? 'sliding_attention' : 'full_attention'));
  return { sliding_window: window, layer_types: types };
}
