import type { DecoderConfig } from '@rowsmith/contracts';
import { philox } from '../runtime/philox.js';
import type { Batch, CausalLM, RowPlan } from './causal-lm.js';

/** Random tokens in `lengths.length` sequences padded to `length`; the first third of each is prompt (not labelled). */
export function tinyBatch(
  seed: number,
  config: DecoderConfig,
  lengths: readonly number[],
  length = Math.max(...lengths),
  padId = 0,
): Batch {
  const ids = new Int32Array(lengths.length * length).fill(padId);
  const labels = new Int32Array(ids.length).fill(-100);
  lengths.forEach((count, b) => {
    // A stream a sequence: its tokens do not depend on the padding or on its neighbours.
    const random = philox(seed, 'tiny batch', b);
    for (let t = 0; t < count; t++) {
      ids[b * length + t] = random.below(config.vocab_size);
      if (t >= count / 3) labels[b * length + t] = ids[b * length + t] as number;
    }
  });
  return { size: lengths.length, length, ids, labels };
}

/** Every `stride`-th row of the linears that `wanted` accepts. */
export function tinyPlan(model: CausalLM, stride: number, wanted: (name: string) => boolean = () => true): RowPlan {
  return {
    modules: model.linears
      .filter(({ name }) => wanted(name))
      .map((linear) => ({
        ...linear,
        indices: Int32Array.from({ length: Math.ceil(linear.outFeatures / stride) }, (_, i) => i * stride),
      })),
  };
}

/** `plan` with every `stride`-th column of the linears that `wanted` accepts; without the rows of those that `rowless` accepts. */
export function withColumns(
  model: CausalLM,
  { modules }: RowPlan,
  stride: number,
  wanted: (name: string) => boolean = () => true,
  rowless: (name: string) => boolean = () => false,
): RowPlan {
  const rowsOf = new Map(modules.map(({ name, indices }) => [name, indices]));
  return {
    modules: model.linears.flatMap((linear) => {
      const { name, inFeatures } = linear;
      const indices = (rowless(name) ? undefined : rowsOf.get(name)) ?? new Int32Array(0);
      const columns = wanted(name) ? Int32Array.from({ length: Math.ceil(inFeatures / stride) }, (_, i) => i * stride) : undefined;
      return indices.length > 0 || columns ? [{ ...linear, indices, ...(columns && { columns }) }] : [];
    }),
  };
}
