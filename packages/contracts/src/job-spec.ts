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
    seed: Type.Integer(),
    hyperparameters: Hyperparameters,
    row_sparse: RowSparseConfig,
  },
  { additionalProperties: false },
);
export type JobSpec = Static<typeof JobSpec>;
