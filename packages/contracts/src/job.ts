import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';
import { DeviceClassName } from './fleet.js';
import { JobIntegration } from './integrations.js';
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

const FileReference = Type.String({ minLength: 1, maxLength: 64 });
/** A weight is how often the rows of the file are seen in an epoch: 2 = twice, 0.5 = half of them, the same half for the same seed. */
export const TrainingFile = Type.Object(
  { file: FileReference, weight: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 100 })) },
  { additionalProperties: false },
);

export const CreateJobBody = Type.Object(
  {
    model: Type.String({ minLength: 1, maxLength: 256 }),
    training_file: Type.Optional(FileReference),
    training_files: Type.Optional(
      Type.Array(TrainingFile, { minItems: 1, maxItems: 32, description: 'instead of `training_file`: several files with weights' }),
    ),
    validation_file: Type.Optional(nullable(FileReference)),
    validation_split: Type.Optional(
      nullable(
        Type.Number({
          exclusiveMinimum: 0,
          maximum: 0.5,
          description: 'share of the training rows that is held out, the same for the same seed and data',
        }),
      ),
    ),
    invalid_sample_skip_percentage: Type.Optional(
      nullable(
        Type.Number({
          minimum: 0,
          maximum: 100,
          description: 'bad lines of a file that are left out, in percent; more is a fault. Default 0',
        }),
      ),
    ),
    priority: Type.Optional(Type.Union([auto, Type.Integer({ minimum: 1, maximum: 100 })], { description: 'higher first; default 50' })),
    device_class: Type.Optional(
      Type.Union([auto, DeviceClassName], {
        description: 'workers that may run it (GET /fleet/workers); auto: any, and then only that class',
      }),
    ),
    device: Type.Optional(
      Type.Unsafe<'auto' | 'cpu' | 'cuda'>(
        Type.String({
          enum: ['auto', 'cpu', 'cuda'],
          description: 'kind of device: any class of that name or that begins with it and a hyphen; default auto, any',
        }),
      ),
    ),
    auto_start: Type.Optional(
      Type.Boolean({ description: 'false: checked and stored as `paused`, and queued by POST .../start. Default true' }),
    ),
    max_duration_seconds: Type.Optional(
      nullable(Type.Integer({ minimum: 10, maximum: 31_536_000, description: 'of all attempts together; null: no limit' })),
    ),
    suffix: Type.Optional(nullable(Type.String({ minLength: 1, maxLength: 64, pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' }))),
    seed: Type.Optional(nullable(Type.Integer({ minimum: 0, maximum: 2147483647 }))),
    metadata: Type.Optional(nullable(Metadata)),
    integrations: Type.Optional(
      nullable(
        Type.Array(JobIntegration, { maxItems: 5, description: 'where metrics are sent as they come; the operator sets the servers up' }),
      ),
    ),
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

/** A JSON merge patch (RFC 7396) of the request that made the earlier job: null takes a field out. What results is checked like any request. */
export const CloneJobBody = Type.Object(
  {
    ...Object.fromEntries(
      Object.entries(CreateJobBody.properties).map(([name, schema]) => [name, Type.Optional(Type.Union([schema, Type.Null()]))]),
    ),
    method: Type.Optional(nullable(Type.Record(Type.String(), Type.Unknown()))),
    hyperparameters: Type.Optional(nullable(Type.Record(Type.String(), Type.Unknown()))),
    row_sparse: Type.Optional(
      nullable(Type.Record(Type.String(), Type.Unknown(), { description: 'the fields to change; null takes one out' })),
    ),
    metadata: Type.Optional(nullable(Type.Record(Type.String(), Type.Unknown()))),
  },
  { additionalProperties: false, $id: 'CloneFineTuningJobRequest' },
);
export type CloneJobBody = { readonly [field: string]: unknown };

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
  training_file: Type.String({ description: 'the first, if there are several' }),
  training_files: Type.Array(Type.Object({ file: Type.String(), weight: Type.Number() })),
  validation_file: nullable(Type.String()),
  validation_split: nullable(Type.Number()),
  invalid_sample_skip_percentage: Type.Number(),
  priority: Type.Integer(),
  max_duration_seconds: nullable(Type.Integer()),
  seed: Type.Integer(),
  estimated_finish: nullable(Type.Integer()),
  integrations: nullable(Type.Array(JobIntegration)),
  metadata: nullable(Metadata),
  suffix: nullable(Type.String()),
  method: Type.Object({ type: Type.Literal('supervised'), supervised: Type.Object({ hyperparameters: Hyperparameters }) }),
  device_class: nullable(Type.String({ description: 'null until the first worker took it' })),
  device: nullable(Type.Unsafe<'cpu' | 'cuda'>(Type.String({ enum: ['cpu', 'cuda'], description: 'kind that was asked for; null: any' }))),
  row_sparse: RowSparseConfig,
  progress: Type.Object({
    step: Type.Integer(),
    total_steps: nullable(Type.Integer()),
    attempt: Type.Integer({ description: 'executions started so far' }),
    phase: nullable(Type.String()),
  }),
});
export type JobObject = Static<typeof JobObject>;
