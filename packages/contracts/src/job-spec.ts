/** The whole, resolved job as the trainer gets it. The SHA-256 of its canonical JSON without `job_id` is the config hash bound into checkpoints. */
import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';
import { Hyperparameters } from './job.js';
import { RowSparseConfig } from './row-sparse.js';

export const ObjectRef = Type.Object({ key: Type.String(), sha256: Type.String(), bytes: Type.Integer() }, { additionalProperties: false });
export type ObjectRef = Static<typeof ObjectRef>;

export const JobSpec = Type.Object(
  {
    job_id: Type.String(),
    model: Type.String({ description: 'id of the base model' }),
    base_sha256: Type.String(),
    training_data: ObjectRef,
    validation_data: nullable(ObjectRef),
    warm_start: Type.Optional(ObjectRef),
    /** Selection of the job that `row_sparse.reuse_rows_of` names. */
    reuse_rows: Type.Optional(ObjectRef),
    mixture: Type.Optional(
      Type.Array(
        Type.Object(
          { file: Type.String(), data: ObjectRef, weight: Type.Number({ exclusiveMinimum: 0 }) },
          { additionalProperties: false },
        ),
        {
          minItems: 1,
          description: 'all training files when one weight would not say it; `training_data` is then the first',
        },
      ),
    ),
    validation_split: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 0.5 })),
    invalid_sample_skip_percentage: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 100 })),
    seed: Type.Integer(),
    hyperparameters: Hyperparameters,
    row_sparse: RowSparseConfig,
  },
  { additionalProperties: false },
);
export type JobSpec = Static<typeof JobSpec>;
