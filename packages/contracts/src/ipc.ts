/** Messages between the worker's supervisor and its trainer child, over Node's IPC channel; both sides parse on arrival. */
import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';
import { CheckpointMetrics, MetricPoint } from './events.js';
import { JobSpec } from './job-spec.js';

const message = <T extends string, P extends Parameters<typeof Type.Object>[0]>(type: T, properties: P) =>
  Type.Object({ type: Type.Literal(type), ...properties }, { additionalProperties: false });

/** Where a process finds objects: a folder, or a bucket of an S3-compatible store. Credentials travel by environment, never here. */
export const StorageLocation = Type.Union([
  Type.Object({ driver: Type.Literal('fs'), root: Type.String() }, { additionalProperties: false }),
  Type.Object(
    {
      driver: Type.Literal('s3'),
      bucket: Type.String(),
      /** Put before every key, with a slash between; '' = none. */
      prefix: Type.String(),
      region: Type.String(),
      /** null: AWS itself. */
      endpoint: nullable(Type.String()),
    },
    { additionalProperties: false },
  ),
]);
export type StorageLocation = Static<typeof StorageLocation>;

export const TrainerStart = message('start', {
  spec: JobSpec,
  epoch: Type.Integer(),
  storage: StorageLocation,
  model_dir: Type.String(),
  /** Newest first: manifests of published checkpoints of earlier attempts; the first that verifies is used. */
  resume_from: Type.Array(
    Type.Object({ manifest_key: Type.String(), manifest_sha256: Type.String(), step: Type.Integer() }, { additionalProperties: false }),
  ),
  /** Hash that binds checkpoints to the specification as it is stored, when an older build stored it and it was completed since. */
  config_sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
  /** W3C Trace Context of the attempt, when it is traced. */
  traceparent: Type.Optional(Type.String({ maxLength: 55 })),
});
export type TrainerStart = Static<typeof TrainerStart>;

/** cancel: stop at once, nothing kept; handback and pause: checkpoint after the last whole step, then stop. */
export const TrainerStop = message('stop', {
  reason: Type.Unsafe<'cancel' | 'pause' | 'handback'>(Type.String({ enum: ['cancel', 'pause', 'handback'] })),
});
/** A checkpoint stands in the tables under this attempt's epoch: older ones may now be deleted. */
export const CheckpointRecorded = message('recorded', { manifest_key: Type.String() });
/** Somebody asked for a checkpoint: of `step` or, if training is further, of the next whole step. Told again it changes nothing. */
export const CheckpointWanted = message('checkpoint_wanted', { step: Type.Integer() });
export const ToTrainer = Type.Union([TrainerStart, TrainerStop, CheckpointRecorded, CheckpointWanted]);
export type ToTrainer = Static<typeof ToTrainer>;

export const errorClasses = ['user', 'infra', 'precheck', 'poison'] as const;
export type ErrorClass = (typeof errorClasses)[number];

export const FromTrainer = Type.Union([
  message('phase', {
    phase: Type.Unsafe<TrainerPhase>(
      Type.String({ enum: ['loading_model', 'loading_data', 'scoring', 'sampling', 'evaluating', 'training', 'exporting', 'verifying'] }),
    ),
    message: Type.String(),
  }),
  message('resumed', {
    step: Type.Integer(),
    rejected: Type.Array(
      Type.Object({
        manifest_key: Type.String(),
        reason: Type.String(),
        damaged: Type.Boolean({ description: 'it goes into quarantine; false: whole, but not for this attempt' }),
      }),
    ),
  }),
  message('planned', {
    total_steps: Type.Integer(),
    trainable_parameters: Type.Integer(),
    train_examples: Type.Integer(),
    valid_examples: Type.Integer(),
    truncated_examples: Type.Integer(),
    rows: Type.Integer(),
  }),
  message('metric', { point: MetricPoint, total_steps: Type.Integer() }),
  message('sample', {
    when: Type.Unsafe<SampleTime>(Type.String({ enum: ['before', 'during', 'after'] })),
    step: Type.Integer({ description: 'optimiser steps that the answering model has taken' }),
    prompt: Type.String(),
    completion: Type.String(),
  }),
  message('early_stop', {
    step: Type.Integer(),
    evaluations: Type.Integer({ description: 'in a row without improvement' }),
    best_step: nullable(Type.Integer()),
    best_valid_loss: nullable(Type.Number()),
  }),
  message('checkpoint', {
    step: Type.Integer(),
    manifest_key: Type.String(),
    manifest_sha256: Type.String(),
    metrics: CheckpointMetrics,
    bytes: Type.Integer(),
  }),
  message('checkpoint_removed', { manifest_key: Type.String() }),
  message('stopped', { reason: Type.String(), step: Type.Integer() }),
  message('done', {
    step: Type.Integer(),
    trained_tokens: Type.Integer(),
    manifest_key: Type.String(),
    manifest_sha256: Type.String(),
    metrics: CheckpointMetrics,
  }),
  message('failed', {
    class: Type.Unsafe<ErrorClass>(Type.String({ enum: [...errorClasses] })),
    code: Type.String(),
    message: Type.String(),
    param: nullable(Type.String()),
  }),
]);
/** Of a sample: before the first step, at an evaluation, or by the model that becomes the adapter. */
export type SampleTime = 'before' | 'during' | 'after';
export type FromTrainer = Static<typeof FromTrainer>;
export type TrainerPhase =
  | 'loading_model'
  | 'loading_data'
  | 'scoring'
  | 'sampling'
  | 'evaluating'
  | 'training'
  | 'exporting'
  | 'verifying';

/** Exit codes of the trainer (reliability.md 4.1). */
export const trainerExit = { done: 0, user: 10, infra: 20, stopped: 30, fenced: 40 } as const;
