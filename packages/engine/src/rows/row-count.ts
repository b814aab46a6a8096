import type { RowSparseConfig } from '@rowsmith/contracts';

export const defaultRoundTo = 4;

/**
 * Selected rows k of a matrix with n rows. A number r: min(r, n). A ratio: floor(ratio n), down to a multiple of round_to; 0 = the matrix
 * stays frozen. (Li & Bhaskara, arXiv 2502.11439, the published code's "rank" and "ratio" modes.)
 */
export function rowCount(rows: RowSparseConfig['rows'], n: number): number {
  if (typeof rows === 'number') return Math.min(rows, n);
  // 0.29 x 100 is 28.999999999999996 in doubles and means 29.
  const k = Math.floor(rows.ratio * n + 1e-9);
  return k - (k % (rows.round_to ?? defaultRoundTo));
}

/** Rows of `matrices` matrices together with n rows in all: min(r x matrices, n), or exactly floor(ratio x n); a global selection does not round. */
export function globalRowCount(rows: RowSparseConfig['rows'], matrices: number, n: number): number {
  return typeof rows === 'number' ? Math.min(rows * matrices, n) : Math.floor(rows.ratio * n + 1e-9);
}
