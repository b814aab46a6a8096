export { type Engine, type EngineOptions, openEngine, type PackedModel } from './engine.js';
export { EngineError, type EngineErrorCode } from './errors.js';
export type { Execution } from './graph/execution.js';
export { chooseMemory, type MemoryChoice } from './memory/choose-memory.js';
export { estimateMemory, type MemoryEstimate, type MemoryQuestion } from './memory/estimate-memory.js';
export type {
  Batch,
  CausalLM,
  GenerateOptions,
  LinearInfo,
  RowModule,
  RowPlan,
  SequenceClassifier,
  TrainableModel,
} from './models/causal-lm.js';
export type { CausalLMOptions } from './models/decoder.js';
export type { ClassifierOptions } from './models/encoder.js';
export { isHead } from './models/encoder-layout.js';
export { partsOf, type TrainedPart } from './models/parts.js';
export { type Quantization, quantizationOf } from './quant/formats.js';
export { type AppliedRows, applyRows, effectiveRows, type RowValues, removeRows } from './rows/apply-rows.js';
export { newClassifier } from './rows/new-classifier.js';
export { selectedRows, trainableParameters } from './rows/parameter-count.js';
export { planFromIndices } from './rows/plan-from-indices.js';
export { planFromScores } from './rows/plan-from-scores.js';
export { planRows } from './rows/plan-rows.js';
export { chosenLinears, type RowChoice } from './rows/row-choice.js';
export { rowTensors } from './rows/row-tensors.js';
export { type Scored, type ScoringConfig, type ScoringInput, scoreChannels } from './rows/score-channels.js';
export type { ChannelScores, ScoreMatrix } from './rows/score-matrix.js';
export { needsData } from './rows/scorers/scorers.js';
export { withBiases } from './rows/with-biases.js';
export { withClassifier } from './rows/with-classifier.js';
export type { Handle } from './runtime/handle.js';
export { philox, type RandomStream } from './runtime/philox.js';
export { accuracyOf, type Confusion, confusionOf, matthewsOf } from './train/classify.js';
export { planSteps, type StepPlan, type StepPlanInput } from './train/plan-steps.js';
export { train } from './train/train.js';
export type { TrainEvent, TrainInput, TrainMetrics } from './train/types.js';
