/** What the engine is given and what it yields, in terms that other rooms share. Pure data: no handles, no files. */

/** One training example. `labels[i]` is `ids[i]` where the token counts, else -100; the shift by one happens in the loss (method.md O14). */
export interface EncodedExample {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
}

/** Trained rows of one linear. Key: Hugging Face module name, e.g. `model.layers.0.self_attn.q_proj`. */
export interface ModuleRows {
  /** Selected output rows of W [out, in], ascending, unique. [r] */
  readonly indices: Int32Array;
  /** D, the update of those rows: W_tuned[s_k] = f32(W[s_k] + D[k]). [r, in] row-major f32 */
  readonly delta: Float32Array;
  readonly outFeatures: number;
  readonly inFeatures: number;
}
export type RowDelta = ReadonlyMap<string, ModuleRows>;

/** Everything needed to go on byte-identically (engine.md 3.8). Buffers are keyed by role; the layout is the engine's own. */
export interface CheckpointState {
  readonly step: number;
  /** e.g. `delta.576`, `adam_m.576`, `adam_v.576`: stacked [R, width] buffers per row width. */
  readonly buffers: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
  /** Selected rows per module, in the engine's stacking order. */
  readonly indices: ReadonlyMap<string, Int32Array>;
  /** Scalars: epoch, position in the epoch, tokens trained, running sums. JSON-safe. */
  readonly cursor: Readonly<Record<string, number>>;
}
