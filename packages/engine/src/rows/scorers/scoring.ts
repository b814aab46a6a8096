/** What a scorer is given; see `scoreChannels`. */
import type { EncodedExample } from '@rowsmith/contracts';
import { EngineError } from '../../errors.js';
import type { LinearInfo, TrainableModel } from '../../models/causal-lm.js';
import type { StockOps } from '../../ops/stock-ops.js';
import { aborted } from '../../train/turn.js';
import type { ScoreMatrix } from '../score-matrix.js';

export interface WeightScoring {
  readonly ops: StockOps;
  readonly model: TrainableModel;
  readonly seed: number;
}

export interface DataScoring extends WeightScoring {
  /** To be scored, in the model's order. */
  readonly linears: readonly LinearInfo[];
  /** Calibration batches; each example has a label that counts. */
  readonly batches: readonly (readonly EncodedExample[])[];
  /** Bytes that sums of whole gradients may take at a time. */
  readonly memoryBytes: number;
  /** zo_taylor: directions a split, number of splits, step. */
  readonly zo: { readonly estimates: number; readonly splits: number; readonly eps: number };
  /** Called between batches: gives waiting messages a turn; throws EngineError `aborted` when a stop was asked for. */
  readonly turn: (done: number, total: number) => Promise<void>;
}

export type DataScorer = (scoring: DataScoring) => Promise<ScoreMatrix>;

export interface ScoringProgress {
  readonly signal?: AbortSignal | undefined;
  /** done of total passes of a batch through the model. */
  readonly onProgress?: ((done: number, total: number) => Promise<void> | void) | undefined;
}

export function turns({ signal, onProgress }: ScoringProgress): DataScoring['turn'] {
  return async (done, total) => {
    if (await aborted(signal)) throw new EngineError('infra', 'aborted', 'scoring was stopped');
    await onProgress?.(done, total);
  };
}
