import type { PackedModelIndex } from '@rowsmith/contracts';
import type { CausalLM } from './models/causal-lm.js';

export interface PackedModel {
  readonly index: PackedModelIndex;
  /** Path of `weights.bin`; only read. */
  readonly weightsPath: string;
}

/** TensorFlow in this process. One per process: calls block the event loop, so never in a process that answers requests. */
export interface Engine {
  /** Caller disposes. */
  loadModel(model: PackedModel): Promise<CausalLM>;
  /** Tensors alive in TensorFlow: the leak detector. */
  handleCount(): number;
}
