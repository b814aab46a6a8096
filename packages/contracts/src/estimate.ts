import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';
import { Hyperparameters } from './job.js';
import { RowSparseConfig } from './row-sparse.js';

const Memory = Type.Object({
  weights: Type.Integer(),
  trained: Type.Integer({ description: 'update, its gradient and two moments' }),
  activations: Type.Integer(),
  logits: Type.Integer(),
  overhead: Type.Integer(),
  total: Type.Integer(),
});

/** Forecast of a job, from sizes alone; nothing is stored or queued. Bytes and seconds. */
export const JobEstimate = Type.Object({
  object: Type.Literal('fine_tuning.estimate'),
  model: Type.String(),
  hyperparameters: Hyperparameters,
  row_sparse: RowSparseConfig,
  training_examples: Type.Integer({ description: 'of an epoch' }),
  validation_examples: Type.Integer(),
  trainable_parameters: Type.Integer(),
  steps: Type.Integer({ description: 'optimiser steps' }),
  tokens: Type.Object({
    mean: Type.Number({ description: 'of an example, after truncation' }),
    longest: Type.Integer(),
    trained: Type.Integer({ description: 'in all epochs together' }),
    evaluated: Type.Integer({ description: 'in all evaluations together' }),
    basis: Type.Unsafe<'counted' | 'sampled' | 'bytes'>(
      Type.String({
        enum: ['counted', 'sampled', 'bytes'],
        description:
          "every example was counted; the beginning of the files was; or four bytes were taken for a token because the model's tokenizer cannot be loaded here",
      }),
    ),
  }),
  memory: Type.Object({ fast: Memory, low: Memory }),
  devices: Type.Array(
    Type.Object({
      device: Type.String(),
      memory_bytes: Type.Number({ description: 'that it has' }),
      memory_mode: Type.Unsafe<'fast' | 'low'>(Type.String({ enum: ['fast', 'low'] })),
      needed_bytes: Type.Integer(),
      fits: Type.Boolean(),
      duration_seconds: Type.Object({ low: Type.Integer(), high: Type.Integer() }, { description: 'by formula' }),
    }),
  ),
  duration: Type.Object(
    {
      basis: Type.Unsafe<'measured' | 'formula'>(
        Type.String({
          enum: ['measured', 'formula'],
          description: 'measured: by the speed of finished jobs on this base model and device class, here; formula: from sizes alone',
        }),
      ),
      device_class: nullable(Type.String({ description: 'asked for, or the one with most measured jobs; null: any' })),
      jobs: Type.Integer({ description: 'that were measured' }),
      tokens_per_second: nullable(Type.Object({ slowest: Type.Number(), fastest: Type.Number() })),
      low: Type.Integer({ description: 'seconds' }),
      high: Type.Integer({ description: 'seconds' }),
    },
    { description: 'where this job would run' },
  ),
});
export type JobEstimate = Static<typeof JobEstimate>;
