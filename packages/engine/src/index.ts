export { type Engine, openEngine, type PackedModel } from './engine.js';
export { EngineError, type EngineErrorCode } from './errors.js';
export type {
  Batch,
  CausalLM,
  GenerateOptions,
  LinearInfo,
  RowModule,
  RowPlan,
} from './models/causal-lm.js';
export type { CausalLMOptions } from './models/decoder.js';
export type { Handle } from './runtime/handle.js';
export { philox, type RandomStream } from './runtime/philox.js';
export type { TrainEvent, TrainInput, TrainMetrics } from './train/types.js';
