import type { RowModule } from '../models/causal-lm.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';

/**
 * E^T with D added where selected rows and columns cross, so that base + the result is f32(base + f32(D + E)) there: what LoRA's
 * W + [one-hot | E] [D; one-hot] is, bit for bit. d: [r, in], e: [c, out] -> [c, out].
 */
export function withCrossings(ops: StockOps, { indices, columns, inFeatures, outFeatures }: RowModule, d: Handle, e: Handle): Handle {
  const { runtime } = ops;
  const from: number[] = [];
  const to: number[] = [];
  columns?.forEach((column, l) => {
    indices.forEach((row, k) => {
      from.push(k * inFeatures + column);
      to.push(l * outFeatures + row);
    });
  });
  const ids = (places: readonly number[]) => runtime.upload(Int32Array.from(places), [places.length], 'i32');
  return runtime.scope((keep) => {
    const shared = ops.gatherRows(ops.reshape(d, [-1]), ids(from));
    return keep(ops.add(e, ops.reshape(ops.scatterRows(shared, ids(to), outFeatures * (columns?.length ?? 0)), e.shape)));
  });
}
