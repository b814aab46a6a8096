import type { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';
import type { LinearInfo } from './causal-lm.js';

/** Columns of a linear, transposed: [c, out], on the host. matrix: the packed tensor [all rows, in] that holds the linear. */
export function readColumns(ops: StockOps, matrix: Handle, linear: LinearInfo, columns: Int32Array): Float32Array {
  const { runtime } = ops;
  const { rowOffset, outFeatures } = linear;
  const count = columns.length;
  const gathered = runtime.scope(() => {
    const ids = runtime.upload(columns, [count], 'i32', true);
    return runtime.readF32(ops.gatherColumns(ops.sliceRows(matrix, rowOffset, outFeatures), ids)).slice(); // [out, c]
  });
  const transposed = new Float32Array(gathered.length);
  for (let row = 0; row < outFeatures; row++)
    for (let k = 0; k < count; k++) transposed[k * outFeatures + row] = gathered[row * count + k] as number;
  return transposed;
}

/** values: [c, out]. Written element by element: TensorFlow updates rows in place, not columns. */
export function writeColumns(ops: StockOps, matrix: Handle, linear: LinearInfo, columns: Int32Array, values: Handle): void {
  const { runtime } = ops;
  const { rowOffset, outFeatures, inFeatures } = linear;
  const places = new Int32Array(columns.length * outFeatures);
  columns.forEach((column, k) => {
    for (let row = 0; row < outFeatures; row++) places[k * outFeatures + row] = (rowOffset + row) * inFeatures + column;
  });
  runtime.scope(() => ops.writeElements(matrix, runtime.upload(places, [places.length], 'i32'), values));
}
