import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';

/** Closed list of `data.type`: what an event is about. */
export const eventTypes = [
  'job.created',
  'job.queued',
  'job.running',
  'job.succeeded',
  'job.failed',
  'job.cancelled',
  'job.cancel_requested',
  'job.pause_requested',
  'job.paused',
  'job.resumed',
  'attempt.started',
  'attempt.lost',
  'phase',
  'metrics',
  'evaluation',
  'sample',
  'early_stop',
  'checkpoint.created',
  'adapter.created',
  'warning',
] as const;
export type EventType = (typeof eventTypes)[number];

export const JobEvent = Type.Object({
  object: Type.Literal('fine_tuning.job.event'),
  id: Type.String(),
  created_at: Type.Integer({ description: 'unix seconds' }),
  level: Type.Unsafe<'info' | 'warn' | 'error'>(Type.String({ enum: ['info', 'warn', 'error'] })),
  message: Type.String(),
  type: Type.Unsafe<'message' | 'metrics'>(Type.String({ enum: ['message', 'metrics'] })),
  data: Type.Record(Type.String(), Type.Unknown(), {
    description: '`type` names what happened; metrics carry step, total_steps and the values',
  }),
});
export type JobEvent = Static<typeof JobEvent>;

/** Definitions: docs/metrics.md. Losses are means over labelled tokens, nats; accuracies are shares of labelled tokens. */
export const CheckpointMetrics = Type.Object({
  step: Type.Integer(),
  train_loss: Type.Optional(nullable(Type.Number())),
  train_mean_token_accuracy: Type.Optional(nullable(Type.Number())),
  valid_loss: Type.Optional(nullable(Type.Number())),
  valid_mean_token_accuracy: Type.Optional(nullable(Type.Number())),
  full_valid_loss: Type.Optional(nullable(Type.Number())),
  full_valid_mean_token_accuracy: Type.Optional(nullable(Type.Number())),
});
export type CheckpointMetrics = Static<typeof CheckpointMetrics>;

export const JobCheckpoint = Type.Object({
  object: Type.Literal('fine_tuning.job.checkpoint'),
  id: Type.String(),
  created_at: Type.Integer(),
  fine_tuned_model_checkpoint: Type.String(),
  fine_tuning_job_id: Type.String(),
  step_number: Type.Integer(),
  metrics: CheckpointMetrics,
});
export type JobCheckpoint = Static<typeof JobCheckpoint>;

/** One optimiser step, or one evaluation (valid_* set). The row of the metrics table and of result_files. */
export const MetricPoint = Type.Object({
  step: Type.Integer(),
  epoch: Type.Number({ description: 'epochs done, fractional' }),
  train_loss: nullable(Type.Number({ description: 'mean over the labelled tokens of the step, before the update' })),
  train_mean_token_accuracy: nullable(Type.Number()),
  valid_loss: nullable(Type.Number()),
  valid_mean_token_accuracy: nullable(Type.Number()),
  learning_rate: nullable(Type.Number()),
  grad_norm: nullable(Type.Number({ description: 'global L2 norm before clipping' })),
  tokens: nullable(Type.Integer({ description: 'real (non-padding) tokens of the step' })),
  labelled_tokens: nullable(Type.Integer()),
  seconds: nullable(Type.Number({ description: 'wall time of the step' })),
});
export type MetricPoint = Static<typeof MetricPoint>;
