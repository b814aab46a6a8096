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
export { partsOf, type TrainedPart } from './models/parts.js';
export { type AppliedRows, applyRows, effectiveRows, type RowValues, removeRows } from './rows/apply-rows.js';
export { selectedRows, trainableParameters } from './rows/parameter-count.js';
export { planFromIndices } from './rows/plan-from-indices.js';
export { planRows, type RowChoice } from './rows/plan-rows.js';
export { rowTensors } from './rows/row-tensors.js';
export type { Handle } from './runtime/handle.js';
export { philox, type RandomStream } from './runtime/philox.js';
export { planSteps, type StepPlan, type StepPlanInput } from './train/plan-steps.js';
export { train } from './train/train.js';
export type { TrainEvent, TrainInput, TrainMetrics } from './train/types.js';
