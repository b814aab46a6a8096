export * from './attempt-ports.js';
export { type DeviceClass, deviceClasses, type EstimateFacts, type JobMemory, measuredSeconds, memoryOf, workOf } from './estimate-job.js';
export { type DispatchPlan, type FleetState, isOfKind, planDispatch } from './fair-share.js';
export * from './file-ports.js';
export * from './fleet-ports.js';
export { type JobLimits, jobLimits } from './job-limits.js';
export { modelNameOf } from './model-name.js';
export * from './object-ports.js';
export * from './ports.js';
export * from './queue-ports.js';
export { QuotaExceededError } from './quota-error.js';
export { baseLearningRate, type JobFacts, type JobFault, type ResolvedJob, resolveJob, stepsOf } from './resolve-job.js';
export {
  type AttemptProgress,
  decideAfterFailure,
  type FailureDecision,
  maxBarrenAttempts,
  maxLostAttempts,
  workerLost,
} from './retry.js';
export { covers } from './scopes.js';
export { canMove, finalStatuses, heldStatuses, isFinal, sourcesOf } from './status.js';
export { completeRowSparse, completeSpec } from './stored-spec.js';
export * from './tenancy-ports.js';
export * from './tracking-ports.js';
export * from './webhook-ports.js';
