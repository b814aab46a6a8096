/** Test support: calls a fused operator on host arrays and reads all outputs back. */
import { loadBinding } from '@rowsmith/native';
import { loadKernels } from './load-kernels.js';

interface RawTensor {
  readonly id: number;
  readonly shape: number[];
}
interface RawBinding {
  createTensor(shape: readonly number[], dtype: number, values: Float32Array | Int32Array): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array;
  executeOp(name: string, attributes: readonly object[], inputs: readonly number[], outputs: number): RawTensor[];
  getNumOfTensors(): number;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_STRING: number;
}

export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}
export const host = (shape: readonly number[], data: Float32Array | Int32Array): HostTensor => ({ shape, data });
export const empty = host([0], new Float32Array(0));

export interface OpCaller {
  readonly binding: RawBinding;
  /** `keep`: inputs that the operator overwrites and whose new contents are wanted; returned after the outputs. */
  call(
    name: string,
    attributes: Record<string, number | string>,
    inputs: readonly HostTensor[],
    outputs: number,
    keep?: readonly number[],
  ): (Float32Array | Int32Array)[];
  /** Live tensors: must be the same before and after. */
  handles(): number;
}

/** Integer attributes are those named here; other numbers are floats. */
const integers = new Set([
  'batch',
  'heads',
  'kv_heads',
  'head_dim',
  'rotary',
  'window',
  'offset',
  'rows',
  'columns',
  'transpose_a',
  'transpose_b',
]);

export async function openOpCaller(): Promise<OpCaller> {
  const kernels = await loadKernels();
  if (!kernels.loaded) throw new Error(`fused operators: ${kernels.reason}`);
  const binding = loadBinding() as RawBinding;
  return {
    binding,
    handles: () => binding.getNumOfTensors(),
    call(name, attributes, inputs, outputs, keep = []) {
      // The binding aliases the array it is given, and some operators write into their inputs: hand over copies.
      const ids = inputs.map((t) =>
        binding.createTensor(t.shape, t.data instanceof Float32Array ? binding.TF_FLOAT : binding.TF_INT32, t.data.slice()),
      );
      const attrs = Object.entries(attributes).map(([key, value]) => ({
        name: key,
        type: typeof value === 'string' ? binding.TF_ATTR_STRING : integers.has(key) ? binding.TF_ATTR_INT : binding.TF_ATTR_FLOAT,
        value,
      }));
      try {
        const results = binding.executeOp(name, attrs, ids, outputs);
        const read = [...results.map((t) => t.id), ...keep.map((i) => ids[i] ?? -1)].map((id) => binding.tensorDataSync(id).slice());
        for (const t of results) binding.deleteTensor(t.id);
        return read;
      } finally {
        for (const id of ids) binding.deleteTensor(id);
      }
    },
  };
}

/** Values in (-1, 1), the same every time (a linear congruential generator is good enough for test data). */
export function values(count: number, seed: number): Float32Array {
  let state = (seed * 2654435761) >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Largest |a - b|; throws when the lengths differ. */
export function worst(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`lengths ${a.length} and ${b.length}`);
  let most = 0;
  for (let i = 0; i < a.length; i += 1) most = Math.max(most, Math.abs((a[i] ?? Number.NaN) - (b[i] ?? Number.NaN)));
  return most;
}
