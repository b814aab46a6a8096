import type { DecoderConfig, PackedTensor } from '@rowsmith/contracts';
import { ModelError, quoted } from '../errors.js';
import type { TensorSource } from '../tensor-source.js';
import type { DecoderFamily, PackedRule } from './decoder-family.js';

/** One tensor of weights.bin and the source tensors that are stacked to make it. */
export interface PlannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly parts: readonly { readonly name: string; readonly rows: number; readonly width: number }[];
}

/** Tensors start at page boundaries: a mapping of one tensor needs that. */
export const packedAlignment = 4096;

const layerPrefix = 'model.layers.{i}.';
const atLayer = (name: string, i: number) => name.replace('{i}', String(i));

/**
 * The packed tensors of a model in file order: embed, layers, final_norm, lm_head. Throws ModelError `bad_weights` for a tensor that is
 * missing, has another shape than the config says, or is not known to the family (an unknown weight means an unknown computation).
 */
export function packedPlan(family: DecoderFamily, config: DecoderConfig, source: TensorSource, file: string): PlannedTensor[] {
  const used = new Set<string>();
  const tensor = (name: string, rule: PackedRule, sources: readonly string[]): PlannedTensor => {
    const shape = rule.shape(config);
    const width = shape[1] ?? 1;
    const parts = rule.rows(config).map((rows, p) => {
      const from = sources[p] as string;
      const needed = shape.length === 1 ? [rows] : [rows, width];
      const found = source.tensors.get(from);
      if (found === undefined) throw new ModelError('bad_weights', `tensor ${from} is missing`, { file });
      if (found.shape.join() !== needed.join()) {
        throw new ModelError('bad_weights', `tensor ${from} has shape [${found.shape}], the config needs [${needed}]`, { file });
      }
      used.add(from);
      return { name: from, rows, width };
    });
    return { name, shape, parts };
  };
  const wanted = ([, rule]: readonly [string, PackedRule]) => rule.when?.(config) ?? true;
  const wholes = Object.entries(family.packed.whole)
    .filter(wanted)
    .map(([name, rule]) => tensor(name, rule, rule.from));
  const layers = Array.from({ length: config.n_layers }, (_, i) =>
    Object.entries(family.packed.layer)
      .filter(wanted)
      .map(([name, rule]) =>
        tensor(
          `layers.${i}.${name}`,
          rule,
          rule.from.map((from) => atLayer(layerPrefix, i) + from),
        ),
      ),
  ).flat();
  refuseUnknown(family, config, source, used, file);
  const [embed, ...rest] = wholes as [PlannedTensor, ...PlannedTensor[]];
  return [embed, ...layers, ...rest];
}

function refuseUnknown(family: DecoderFamily, config: DecoderConfig, source: TensorSource, used: Set<string>, file: string): void {
  // A tied model's file may still hold the shared matrix under both names.
  if (config.tie_embeddings) used.add('lm_head.weight');
  for (const unused of family.unusedTensors) for (let i = 0; i < config.n_layers; i++) used.add(atLayer(unused, i));
  for (const name of source.tensors.keys()) {
    if (!used.has(name)) {
      throw new ModelError('unsupported', `tensor ${quoted(name)} is not part of a ${family.family} decoder of ${config.n_layers} layers`, {
        file,
      });
    }
  }
}

/** Byte offsets of the planned tensors, and the size of the file (a whole number of pages). */
export function packedLayout(plan: readonly PlannedTensor[]): { readonly tensors: Record<string, PackedTensor>; readonly bytes: number } {
  const tensors: Record<string, PackedTensor> = {};
  let offset = 0;
  for (const { name, shape } of plan) {
    tensors[name] = { shape: [...shape], offset, dtype: 'f32' };
    const bytes = 4 * shape.reduce((a, b) => a * b, 1);
    offset += Math.ceil(bytes / packedAlignment) * packedAlignment;
  }
  return { tensors, bytes: offset };
}
