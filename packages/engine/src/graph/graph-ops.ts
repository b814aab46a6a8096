import { mapWeights } from '../ops/map-weights.js';
import type { Precision, Product } from '../ops/product.js';
import { StockOps } from '../ops/stock-ops.js';
import { attribute } from '../runtime/binding.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';

const toBf16 = [attribute.dtype('DstT', 'bf16')];
const toF32 = [attribute.dtype('DstT', 'f32')];

/**
 * Stock operators, which every device has, as graph mode records them. precision bf16: products in bfloat16 with sums in f32 and a result that is rounded to
 * bfloat16 once, as `torch.autocast` computes on a GPU; the eager form, which keeps results in f32, would need f32 products of rounded operands.
 */
export class GraphOps extends StockOps {
  /** mapped: the kernels package is loaded, so that weights may be mapped instead of read. */
  constructor(
    runtime: Runtime,
    precision: Precision | undefined,
    private readonly mapped: boolean,
  ) {
    super(runtime, precision);
  }

  protected override products(): Product {
    if (this.precision === 'f32') return super.products();
    const { runtime, o } = this;
    const rounded = (x: Handle): Handle => (x.dtype === 'bf16' ? x : runtime.execute('Cast', [x], toBf16));
    return (a, b, transposed) =>
      runtime.scope((keep) => keep(runtime.execute('Cast', [o.matMul(rounded(a), rounded(b), transposed)], toF32)));
  }

  override mapPrivately(path: string, offset: number, shape: readonly number[]): Handle | null {
    return this.mapped ? mapWeights(this.runtime, path, offset, shape) : null;
  }
}
