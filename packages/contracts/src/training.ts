/** What the engine is given and what it yields, in terms that other rooms share. Pure data: no handles, no files. */

/** One training example. `labels[i]` is `ids[i]` where the token counts, else -100; the shift by one happens in the loss (method.md O14). */
export interface EncodedExample {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
  /** Of a sequence classifier: the segment of each token; absent: all 0. As long as `ids`. */
  readonly types?: Int32Array;
  /** Class of the whole sequence, an index into the job's classes; no token then has a label. */
  readonly label?: number;
}

/** Trained rows and columns of one linear. Key: Hugging Face module name, e.g. `model.layers.0.self_attn.q_proj`. */
export interface ModuleRows {
  /** Selected output rows of W [out, in], ascending, unique. [r] */
  readonly indices: Int32Array;
  /** D, the update of those rows: W_tuned[s_k] = f32(W[s_k] + D[k]). [r, in] row-major f32 */
  readonly delta: Float32Array;
  /** Selected input columns of W, ascending, unique. [c]; absent: none. Then `indices` may be empty. */
  readonly columns?: Int32Array;
  /** E transposed, the update of those columns. [c, out] row-major f32. Where rows and columns cross: W_tuned = f32(W + f32(D + E)). */
  readonly columnDelta?: Float32Array;
  /** Update of the bias entries of the selected rows; absent: not trained. [r] */
  readonly biasDelta?: Float32Array;
  readonly outFeatures: number;
  readonly inFeatures: number;
}
export type RowDelta = ReadonlyMap<string, ModuleRows>;

/** In maps by module whose entry is the module's rows: the key of its columns. */
export const columnsKey = (module: string): string => `${module}.columns`;
/** Likewise the key of the bias entries of its rows. */
export const biasesKey = (module: string): string => `${module}.biases`;

/** Everything needed to go on byte-identically (engine.md 3.8). Buffers are keyed by role; the layout is the engine's own. */
export interface CheckpointState {
  readonly step: number;
  /**
   * e.g. `delta.576`, `adam_m.576`, `adam_v.576`: stacked [R, width] buffers. Selected rows have the width `in`, selected columns, transposed, the
   * width `out`; per width the modules in the model's order, a module's rows before its columns.
   */
  readonly buffers: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
  /** Selected rows per module, in the model's order; a module without rows has no entry. */
  readonly indices: ReadonlyMap<string, Int32Array>;
  /** Selected columns per module, likewise; absent: none. */
  readonly columns?: ReadonlyMap<string, Int32Array>;
  /** Modules whose selected rows train their bias entries too; absent: none. Their stack is `delta.1`. */
  readonly biases?: readonly string[];
  /** Scalars: epoch, position in the epoch, tokens trained, running sums. JSON-safe. */
  readonly cursor: Readonly<Record<string, number>>;
}
