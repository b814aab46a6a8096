import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';
import { RowSparseConfig, RowSparseRequest } from './row-sparse.js';

export const jobStatuses = ['validating_files', 'queued', 'running', 'pausing', 'paused', 'succeeded', 'failed', 'cancelled'] as const;
export type JobStatus = (typeof jobStatuses)[number];
export const JobStatusSchema = Type.Unsafe<JobStatus>(Type.String({ enum: [...jobStatuses] }));

const auto = Type.Literal('auto');
export const HyperparametersRequest = Type.Object(
  {
    n_epochs: Type.Optional(Type.Union([auto, Type.Integer({ minimum: 1, maximum: 50 })])),
    batch_size: Type.Optional(Type.Union([auto, Type.Integer({ minimum: 1, maximum: 256 })])),
    learning_rate_multiplier: Type.Optional(Type.Union([auto, Type.Number({ exclusiveMinimum: 0, maximum: 1000 })])),
  },
  { additionalProperties: false },
);

export const Hyperparameters = Type.Object({
  n_epochs: Type.Integer(),
  batch_size: Type.Integer(),
  learning_rate_multiplier: Type.Number(),
});
export type Hyperparameters = Static<typeof Hyperparameters>;

// A record's key schema becomes a pattern that neither limits the length nor matches line breaks: what it misses would pass unchecked.
export const Metadata = Type.Record(Type.String(), Type.String({ maxLength: 512 }), {
  maxProperties: 16,
  propertyNames: { pattern: '^.{1,64}$' },
});

export const CreateJobBody = Type.Object(
  {
    model: Type.String({ minLength: 1, maxLength: 256 }),
    training_file: Type.String({ minLength: 1, maxLength: 64 }),
    validation_file: Type.Optional(nullable(Type.String({ minLength: 1, maxLength: 64 }))),
    suffix: Type.Optional(nullable(Type.String({ minLength: 1, maxLength: 64, pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' }))),
    seed: Type.Optional(nullable(Type.Integer({ minimum: 0, maximum: 2147483647 }))),
    metadata: Type.Optional(nullable(Metadata)),
    method: Type.Optional(
      Type.Object(
        {
          type: Type.Literal('supervised'),
          supervised: Type.Optional(
            Type.Object({ hyperparameters: Type.Optional(HyperparametersRequest) }, { additionalProperties: false }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    hyperparameters: Type.Optional(HyperparametersRequest),
    row_sparse: Type.Optional(RowSparseRequest),
  },
  { additionalProperties: false, $id: 'CreateFineTuningJobRequest' },
);
export type CreateJobBody = Static<typeof CreateJobBody>;

export const JobErrorSchema = Type.Object({ code: Type.String(), message: Type.String(), param: nullable(Type.String()) });

/** All of OpenAI's required fields are present, null where empty; `row_sparse` holds the resolved values. */
export const JobObject = Type.Object({
  id: Type.String(),
  object: Type.Literal('fine_tuning.job'),
  created_at: Type.Integer({ description: 'unix seconds' }),
  error: nullable(JobErrorSchema),
  fine_tuned_model: nullable(Type.String()),
  finished_at: nullable(Type.Integer()),
  hyperparameters: Hyperparameters,
  model: Type.String(),
  organization_id: Type.String(),
  result_files: Type.Array(Type.String()),
  status: JobStatusSchema,
  trained_tokens: nullable(Type.Integer()),
  training_file: Type.String(),
  validation_file: nullable(Type.String()),
  seed: Type.Integer(),
  estimated_finish: nullable(Type.Integer()),
  integrations: nullable(Type.Array(Type.Unknown())),
  metadata: nullable(Metadata),
  suffix: nullable(Type.String()),
  method: Type.Object({ type: Type.Literal('supervised'), supervised: Type.Object({ hyperparameters: Hyperparameters }) }),
  row_sparse: RowSparseConfig,
  progress: Type.Object({
    step: Type.Integer(),
    total_steps: nullable(Type.Integer()),
    attempt: Type.Integer({ description: 'executions started so far' }),
    phase: nullable(Type.String()),
  }),
});
export type JobObject = Static<typeof JobObject>;
