import { attribute } from '../runtime/binding.js';
import type { Handle } from '../runtime/handle.js';
import type { Operators } from './operators.js';

/**
 * What the operands of a matrix product are rounded to; sums are in f32 whatever it is. bf16: to bfloat16, ties to even, as `torch.autocast` does for
 * linears. Activations, weights, gradients and the optimiser's state stay in f32; so does the gradient of the trained rows.
 */
export type Precision = 'f32' | 'bf16';

/** a b, or with one of them transposed. */
export type Product = (a: Handle, b: Handle, transposed?: 'a' | 'b') => Handle;

const toBf16 = [attribute.dtype('DstT', 'bf16')];
const toF32 = [attribute.dtype('DstT', 'f32')];

/** The reference form, of stock operators: two rounded copies of the operands. */
export function roundedProduct(o: Operators): Product {
  const { runtime } = o;
  const rounded = (x: Handle): Handle =>
    runtime.scope((keep) => keep(runtime.execute('Cast', [runtime.execute('Cast', [x], toBf16)], toF32)));
  return (a, b, transposed) => runtime.scope((keep) => keep(o.matMul(rounded(a), rounded(b), transposed)));
}
