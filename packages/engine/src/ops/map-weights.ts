import { attribute } from '../runtime/binding.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';

/** Part of a file, mapped copy-on-write by the operator of packages/kernels, which must be loaded; see `StockOps.mapPrivately`. */
export function mapWeights(runtime: Runtime, path: string, offset: number, shape: readonly number[]): Handle | null {
  const [rows = 0, columns = 0] = shape;
  const numbers = Object.entries({ offset, rows, columns }).map(([name, value]) => attribute.int(name, value));
  try {
    return runtime.execute('RowsmithMapWeights', [], [attribute.string('path', path), ...numbers]);
  } catch {
    // Larger pages than the file was packed for, or no mapping to be had: reading works, and says what is wrong if it does not.
    return null;
  }
}
