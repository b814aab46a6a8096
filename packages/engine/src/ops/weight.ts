import type { Handle } from '../runtime/handle.js';

/** A matrix that is held in another form than f32, or partly elsewhere: it exists in f32 only while a product reads it. */
export interface StoredMatrix {
  /** [out, in] */
  readonly shape: readonly number[];
  /** Rows [start, start + count), still stored. */
  rows(start: number, count: number): StoredMatrix;
  /** In f32, new, in the innermost scope. */
  materialise(): Handle;
}

/** What a product may read: a tensor, or a matrix that is made for that product and freed after it. */
export type Weight = Handle | StoredMatrix;
