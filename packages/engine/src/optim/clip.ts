import type { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';

/**
 * Global L2 norm over all buffers, each [R, width]. Waits for the device. Rows are summed there, one thread a row, and the rows' sums here in
 * f64 and in order: the same bits with any number of threads.
 */
export function globalNorm(ops: StockOps, gradients: readonly Handle[]): number {
  const { runtime } = ops;
  let sum = 0;
  for (const gradient of gradients)
    for (const rowSum of runtime.scope(() => runtime.readF32(ops.sumColumns(ops.square(gradient))))) sum += rowSum;
  return Math.sqrt(sum);
}

/** torch's clip_grad_norm_: min(1, max / (norm + 1e-6)); maxNorm 0: no clipping. */
export function clipScale(norm: number, maxNorm: number): number {
  return maxNorm === 0 ? 1 : Math.min(1, maxNorm / (norm + 1e-6));
}
