export { Mlflow, type MlflowServer } from './mlflow.js';
export { type RunDescription, type RunEnd, type TrackedRun, TrackingError } from './run.js';
export { tfeventsHeader, tfeventsRecord } from './tfevents.js';
export { Wandb, type WandbProject, type WandbServer } from './wandb.js';
