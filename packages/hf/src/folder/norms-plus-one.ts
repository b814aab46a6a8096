import type { TensorSource } from '../tensor-source.js';

/** Norm weights w as they multiply: 1 + w, rounded to f32 as transformers' Gemma norms round it. Other tensors as they are. */
export function normsPlusOne(source: TensorSource): TensorSource {
  return {
    tensors: source.tensors,
    async readRows(name, start, count) {
      const rows = await source.readRows(name, start, count);
      // A Float32Array rounds what is stored in it.
      return /norm\.weight$/.test(name) ? rows.map((w) => 1 + w) : rows;
    },
    close: () => source.close(),
  };
}
