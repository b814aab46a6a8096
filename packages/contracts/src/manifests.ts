/** Manifests: written after the data they name; what has no valid manifest does not exist (reliability.md 3.2). */
import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';
import { CheckpointMetrics } from './events.js';

export const ManifestFile = Type.Object(
  { name: Type.String(), key: Type.String(), sha256: Type.String(), bytes: Type.Integer() },
  { additionalProperties: false },
);
export type ManifestFile = Static<typeof ManifestFile>;

export const CheckpointManifest = Type.Object(
  {
    format: Type.Literal('rowsmith-checkpoint/1'),
    job_id: Type.String(),
    epoch: Type.Integer({ description: 'of the attempt (the fence), not of the data' }),
    step: Type.Integer(),
    config_sha256: Type.String(),
    base_sha256: Type.String(),
    data_sha256: Type.String(),
    operators: Type.Optional(
      Type.String({
        description: 'kind of operators that computed it: another kind rounds otherwise, so the job could not end with the same bytes',
      }),
    ),
    threads: Type.Optional(Type.Integer({ minimum: 1, description: 'that computed it; another number gives the same bytes' })),
    previous_sha256: nullable(Type.String({ description: 'of the predecessor manifest' })),
    cursor: Type.Record(Type.String(), Type.Number()),
    metrics: CheckpointMetrics,
    files: Type.Array(ManifestFile),
  },
  { additionalProperties: false },
);
export type CheckpointManifest = Static<typeof CheckpointManifest>;

export const basePrecisionNames = ['bf16', 'nf4', 'nf4_double', 'int8'] as const;
export type BasePrecision = (typeof basePrecisionNames)[number];

export const AdapterManifest = Type.Object(
  {
    format: Type.Literal('rowsmith-adapter/1'),
    job_id: Type.String(),
    base_model: Type.String(),
    base_sha256: Type.String(),
    config_sha256: Type.String(),
    data_sha256: Type.String(),
    checkpoint_sha256: Type.Optional(Type.String({ description: "of the manifest of the job's last checkpoint: the end of the chain" })),
    step: Type.Integer(),
    base_precision: Type.Optional(
      Type.Unsafe<BasePrecision>(
        Type.String({
          enum: [...basePrecisionNames],
          description: 'how the base was held in training; absent: f32. The update is relative to the f32 base all the same',
        }),
      ),
    ),
    classes: Type.Optional(Type.Array(Type.String(), { description: 'of a classifier, in the order of its logits' })),
    evaluation: Type.Optional(
      Type.Object(
        {
          examples: Type.Integer(),
          accuracy: Type.Number(),
          matthews: Type.Number({
            description: 'Matthews correlation, of several classes in the form of Gorodkin; 0 where one side is constant',
          }),
        },
        { additionalProperties: false, description: 'of the classifier as it is stored, over the whole validation data' },
      ),
    ),
    rank: Type.Integer({ description: 'r of the LoRA export: largest number of rows in one module' }),
    trainable_parameters: Type.Integer(),
    verification: Type.Object({
      max_abs_error: Type.Number({ description: 'largest |W_export - W_trainer| over all tuned matrices after loading the export back' }),
      modules: Type.Integer(),
    }),
    files: Type.Array(ManifestFile),
  },
  { additionalProperties: false },
);
export type AdapterManifest = Static<typeof AdapterManifest>;
