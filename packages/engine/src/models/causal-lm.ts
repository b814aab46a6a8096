/** The seam between the models (forward, backward, decoding) and what trains them (rows, optim, train). */
import type { DecoderConfig, EncoderConfig, ModelConfig, TargetName } from '@rowsmith/contracts';
import type { Sampling } from '../generate/sampling.js';
import type { Execution } from '../graph/execution.js';
import type { Quantization } from '../quant/formats.js';
import type { Handle } from '../runtime/handle.js';
import type { UpdateDropout } from './update-path.js';

/** Linears above the layers of a classifier: trained whole, never chosen from. */
export type HeadName = 'pooler' | 'classifier';

/**
 * One of the linears of a layer: a block of rows of a packed matrix. A decoder has seven; those of an encoder bear the names of their counterparts:
 * q_proj, k_proj, v_proj (query, key, value), o_proj (attention.output.dense), up_proj (intermediate.dense), down_proj (output.dense).
 */
export interface LinearInfo {
  /** Hugging Face module name, e.g. `model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  /** Of a head the number of layers: it lies above them. */
  readonly layer: number;
  readonly target: TargetName | HeadName;
  /** Packed tensor that holds it, e.g. `layers.0.qkv`, and the first of its rows there. */
  readonly tensor: string;
  readonly rowOffset: number;
  readonly outFeatures: number;
  readonly inFeatures: number;
  /** Packed tensor that holds its bias, from rowOffset on; absent: it has none. */
  readonly bias?: string;
}

/** A linear with what is trained of it; never nothing. Ascending, within the linear, not within the packed matrix. */
export interface RowModule extends LinearInfo {
  /** Selected output rows; empty where only columns are trained. */
  readonly indices: Int32Array;
  /** Selected input columns; absent: none. */
  readonly columns?: Int32Array;
  /** The bias entries of the selected rows are trained too. */
  readonly biases?: boolean;
}

/** Modules in the order layer, then `targetNames`; those without rows and columns are left out. */
export interface RowPlan {
  readonly modules: readonly RowModule[];
}

/** B sequences padded on the right to T tokens. Causal attention never looks right, so padding needs no mask, only labels of -100. */
export interface Batch {
  readonly size: number;
  readonly length: number;
  /** [B*T] token ids; padding holds any valid id. */
  readonly ids: Int32Array;
  /** [B*T], unshifted: the label of position t is predicted at t-1; -100 does not count. */
  readonly labels: Int32Array;
  /**
   * Packed: the one row (size 1) holds sequences of these lengths one after the other, T their sum. Each has its own positions from 0 and
   * sees itself alone, so losses and gradients are those of the padded form, within rounding.
   */
  readonly lengths?: Int32Array;
  /** What a sequence classifier needs of a padded batch; `labels` holds none then. */
  readonly sequences?: Sequences;
}

export interface Sequences {
  /** [B] tokens of each sequence; what follows is padding, which nothing sees. */
  readonly counts: Int32Array;
  /** [B*T] */
  readonly types: Int32Array;
  /** [B] class of each sequence. */
  readonly classes: Int32Array;
}

/** Sums over the labelled tokens of a batch; divide by `labelled` for means. Loss in nats. */
export interface LossSums {
  readonly lossSum: number;
  readonly correct: number;
  readonly labelled: number;
}

export interface GenerateOptions {
  readonly maxNewTokens: number;
  /** Generation ends after (and includes) any of these. */
  readonly stopIds: readonly number[];
  readonly signal?: AbortSignal;
  /** Absent, or temperature 0: greedy; ties go to the lower id. */
  readonly sampling?: Sampling;
}

/** What rows are trained of: a decoder, or an encoder with a classifier, whose `labelled` counts are of sequences instead of tokens. */
export interface TrainableModel {
  readonly config: ModelConfig;
  readonly linears: readonly LinearInfo[];
  /**
   * How the linears' matrices are held; null: as they are. Quantised, products read the quantised base with the written rows and columns, which are
   * exact, over it; what was not written reads back (rows, columns, matrices) as the full-precision base has it, which is what scores are about.
   */
  readonly quantization: Quantization | null;
  /** How `loss` and `lossAndGrads` compute. Asked for graphs, a quantised base is eager all the same. */
  readonly execution: Execution;
  /** Graphs recorded so far: one for each computation and shape bucket. */
  readonly graphLoads: number;
  /** Quantised: rows and columns that were written are the quantised base's again. Otherwise nothing: write the base back. */
  forgetWritten(): void;
  /** Present (merged) rows of a linear. [r, in] f32, copied to the host. */
  readRows(linear: LinearInfo, indices: Int32Array): Float32Array;
  /** Overwrites rows in place: later forward passes see them. rows: [r, in] f32, stays the caller's. */
  writeRows(linear: LinearInfo, indices: Int32Array, rows: Handle): void;
  /** Present (merged) columns of a linear, transposed. [c, out] f32, copied to the host. */
  readColumns(linear: LinearInfo, columns: Int32Array): Float32Array;
  /** Overwrites columns in place. values: [c, out] f32, stays the caller's. Touches every page of a mapped matrix: it becomes this process's own. */
  writeColumns(linear: LinearInfo, columns: Int32Array, values: Handle): void;
  /** Present bias entries of rows of a linear that has a bias. [r] f32, copied to the host. */
  readBiases(linear: LinearInfo, indices: Int32Array): Float32Array;
  /** Overwrites them in place. values: r numbers, stays the caller's. */
  writeBiases(linear: LinearInfo, indices: Int32Array, values: Handle): void;
  /** Scores need whole matrices: [out, in] of one linear, caller disposes. Of a quantised base the full-precision one, without what was written. */
  readMatrix(linear: LinearInfo): Handle;
  /** Forward only. */
  loss(batch: Batch): LossSums;
  /**
   * Forward and backward. grads, by `partsOf`'s keys: dD [r, in] and dE transposed [c, out], f32, of every module of `plan`, of the *sum* of token
   * losses times `scale` (pass 1 / labelled tokens of the accumulation window); with `dropout` of the loss that its masks make. Caller disposes. Nothing below the lowest module is differentiated.
   */
  lossAndGrads(
    batch: Batch,
    plan: RowPlan,
    scale: number,
    dropout?: UpdateDropout,
  ): LossSums & { readonly grads: ReadonlyMap<string, Handle> };
  /**
   * Forward and backward, for scores: the gradient of the sum of token losses times `scale` with respect to each of `linears`, [out, in], layer by
   * layer from the top, freed after its visit; at most one layer's gradients exist at a time. No visit when no token is labelled.
   */
  visitGradients(
    batch: Batch,
    scale: number,
    linears: readonly LinearInfo[],
    visit: (linear: LinearInfo, gradient: Handle) => void,
  ): LossSums;
  /** Forward only: inputs x [N, in] of `linears`, once for those that share one, layer by layer from below, freed after the visit. Padding has rows too. */
  visitInputs(batch: Batch, linears: readonly LinearInfo[], visit: (sharing: readonly LinearInfo[], x: Handle) => void): void;
  /** `loss` with shift(linear) [out, in] added to each linear while a product reads it; undefined: nothing. The weights are not touched. */
  lossAt(batch: Batch, shift: (linear: LinearInfo) => Handle | undefined): LossSums;
  dispose(): void;
}

export interface SequenceClassifier extends TrainableModel {
  readonly config: EncoderConfig;
  readonly classes: number;
  /** Heads that the weights do not hold: they begin as zeros, so that what is trained of them is all of them. */
  readonly fresh: ReadonlySet<LinearInfo>;
  /** [B, classes] f32 on the host. */
  classLogits(batch: Batch): Float32Array;
}

export interface CausalLM extends TrainableModel {
  readonly config: DecoderConfig;
  /** [T, V] f32 on the host: for tests and fixtures on short inputs. */
  logits(ids: Int32Array): Float32Array;
  /** Continues a sequence with a KV cache; new ids only, stop id included. */
  generate(ids: Int32Array, options: GenerateOptions): Int32Array;
  /** The same one by one, so that the caller can stop in between; `return()` frees the cache of an unfinished one. The rows must not change meanwhile. */
  tokens(ids: Int32Array, options: GenerateOptions): Generator<number, void, void>;
}
