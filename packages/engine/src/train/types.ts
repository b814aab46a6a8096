/** What the trainer process gives the engine and gets from it. */
import type { CheckpointState, EncodedExample, Hyperparameters, MetricPoint, RowDelta, RowSparseConfig } from '@rowsmith/contracts';
import type { Engine } from '../engine.js';
import type { RowPlan, TrainableModel } from '../models/causal-lm.js';

export interface TrainInput {
  readonly engine: Engine;
  /**
   * Holds the base weights. While the generator runs its selected rows hold base + D; when it ends, in whatever way, they hold the base
   * again, bit for bit. Stays the caller's to dispose.
   */
  readonly model: TrainableModel;
  /** From `planRows`, or, when resuming, `planFromIndices(model, state.indices, state.columns)`. */
  readonly plan: RowPlan;
  /** At least one label that counts (the first of a sequence never does); an example without any adds nothing to loss and gradient. */
  readonly trainExamples: readonly EncodedExample[];
  /** Empty: no validation, no `evaluation` events. */
  readonly validExamples: readonly EncodedExample[];
  /** Integer in [0, 2^53). Decides the order of the examples. */
  readonly seed: number;
  /** No `auto` left. Peak rate = row_sparse.learning_rate x hyperparameters.learning_rate_multiplier. */
  readonly hyperparameters: Hyperparameters;
  readonly rowSparse: RowSparseConfig;
  /** Go on from here instead of from step 0; must stem from the same plan, examples, seed and configuration (the caller checks hashes). */
  readonly resume?: CheckpointState | undefined;
  /** Updates to start from instead of zeros: `delta.<width>` buffers in the layout of a CheckpointState of `plan`. Moments start at zero. */
  readonly warmStart?: CheckpointState['buffers'] | undefined;
  /** Monotonic milliseconds, e.g. `() => performance.now()`. Only measures; never decides a result. */
  readonly clock: () => number;
  /** Asked once after each optimiser step but the last; true: a `checkpoint` event follows. */
  readonly wantsCheckpoint?: ((step: number) => boolean) | undefined;
  /** Looked at between micro-steps and between evaluation batches. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Everything is a copy on the host: an event may be kept, no event holds a handle. Order: evaluation of step 0, then per step `step`,
 * `evaluation` where due, `checkpoint` where wanted or best, `early_stop` at most once, then `done`. `train` throws EngineError: `nan_loss`, `no_examples`, `no_labelled_tokens`,
 * `checkpoint_mismatch`.
 */
export type TrainEvent =
  /** One optimiser step. train_* set (null if no token of the step is labelled), valid_* null. */
  | { readonly type: 'step'; readonly point: MetricPoint; readonly totalSteps: number; readonly trainedTokens: number }
  /** Mean over all labelled tokens of the validation examples. valid_* set, train_* null. Step 0 is the base model. */
  | {
      readonly type: 'evaluation';
      readonly point: MetricPoint;
      readonly totalSteps: number;
      /** 0 before training, then 1, 2, ... The model holds base + D until the generator is asked for the next event. */
      readonly evaluation: number;
    }
  /** best: of the lowest validation loss so far (with `keep_best`, such a step is always saved; a checkpoint of it may be there already). */
  | { readonly type: 'checkpoint'; readonly state: CheckpointState; readonly metrics: TrainMetrics; readonly best: boolean }
  /** Validation loss has not improved for `evaluations` evaluations in a row; `done` follows. */
  | { readonly type: 'early_stop'; readonly step: number; readonly evaluations: number; readonly best: BestStep }
  /** The signal was aborted. `state`: after the last whole optimiser step; a half-done accumulation window is dropped. Nothing follows. */
  | { readonly type: 'stopped'; readonly state: CheckpointState; readonly metrics: TrainMetrics }
  /** The model holds base + D until the generator is asked for the next event: sample from it now. Nothing follows. */
  | {
      readonly type: 'done';
      readonly step: number;
      /** Real (non-padding) tokens of every example seen, every epoch counted. */
      readonly trainedTokens: number;
      readonly delta: RowDelta;
      /** Everything a checkpoint of the last step holds. */
      readonly state: CheckpointState;
      readonly metrics: TrainMetrics;
      /** Lowest validation loss; null without validation. Its checkpoint is the caller's to have kept. */
      readonly best: BestStep;
    };

export type BestStep = { readonly step: number; readonly loss: number } | null;

/** Latest known values; null before the first step or without validation. */
export interface TrainMetrics {
  readonly step: number;
  readonly train_loss: number | null;
  readonly train_mean_token_accuracy: number | null;
  /** Over the whole validation set. */
  readonly full_valid_loss: number | null;
  readonly full_valid_mean_token_accuracy: number | null;
}
