export type { Engine, PackedModel } from './engine.js';
export { EngineError, type EngineErrorCode } from './errors.js';
export type {
  Batch,
  CausalLM,
  GenerateOptions,
  LinearInfo,
  RowModule,
  RowPlan,
} from './models/causal-lm.js';
export type { TrainEvent, TrainInput, TrainMetrics } from './train/types.js';
