/** A and B of one module of the export. */
import type { ExportModule } from './fused-modules.js';

export interface LoraMatrices {
  /** [rank, in] */
  readonly a: Float32Array;
  /** [out, rank] */
  readonly b: Float32Array;
}

/**
 * Rows are D in A and a one-hot in B, columns E in B and a one-hot in A. Components beyond the module's own are zeros in both: a zero row of A times a zero
 * column of B adds nothing.
 */
export function loraMatrices({ inFeatures, outFeatures, parts, columns, columnComponent }: ExportModule, rank: number): LoraMatrices {
  const a = new Float32Array(rank * inFeatures);
  const b = new Float32Array(outFeatures * rank);
  columns.forEach((column, l) => {
    a[(columnComponent + l) * inFeatures + column] = 1;
  });
  for (const { rows, rowOffset, component } of parts) {
    a.set(rows.delta, component * inFeatures);
    rows.indices.forEach((row, k) => {
      b[(rowOffset + row) * rank + component + k] = 1;
    });
    rows.columns?.forEach((column, l) => {
      const at = columnComponent + columns.indexOf(column);
      for (let row = 0; row < rows.outFeatures; row++)
        b[(rowOffset + row) * rank + at] = rows.columnDelta?.[l * rows.outFeatures + row] as number;
    });
  }
  return { a, b };
}
