export interface TensorInfo {
  /** Row-major, outermost first. */
  readonly shape: readonly number[];
  /** As the file calls it: F32, BF16, Q4_1 ... */
  readonly dtype: string;
}

/** Named tensors of a model file, read by ranges of rows and widened to f32. Whole files are never held. */
export interface TensorSource {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Rows [start, start + count) of the tensor seen as [shape[0], product of the rest]; a vector has one-element rows. */
  readRows(name: string, start: number, count: number): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Elements of one row: the product of all dimensions but the first. */
export function rowWidth(shape: readonly number[]): number {
  return shape.slice(1).reduce((a, b) => a * b, 1);
}
