export { type DispatchPlan, type FleetState, planDispatch } from './fair-share.js';
export * from './fleet-ports.js';
export { modelNameOf } from './model-name.js';
export * from './ports.js';
export { baseLearningRate, type JobFacts, type JobFault, type ResolvedJob, resolveJob, stepsOf } from './resolve-job.js';
export { type AttemptProgress, decideAfterFailure, type FailureDecision, maxBarrenAttempts } from './retry.js';
export { canMove, finalStatuses, heldStatuses, isFinal, sourcesOf } from './status.js';
export * from './webhook-ports.js';
