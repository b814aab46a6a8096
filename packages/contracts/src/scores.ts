/** Channel scores and chosen rows as objects, shared by jobs: what the trainer writes and the API reads. */
import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';
import { ObjectRef } from './job-spec.js';
import { ManifestFile } from './manifests.js';

const Summary = Type.Object(
  {
    channels: Type.Integer(),
    mean: Type.Number(),
    max: Type.Number(),
    argmax: Type.Integer({ description: 'lowest index of the largest' }),
  },
  { additionalProperties: false },
);

/** Everything in it follows from what the scores depend on and from the scores, so one scoring has one manifest, byte for byte. */
export const ScoresManifest = Type.Object(
  {
    format: Type.Literal('rowsmith-scores/1'),
    scorer: Type.String(),
    seed: nullable(Type.Integer({ description: 'null: the scores do not depend on it' })),
    base_sha256: Type.String(),
    data_sha256: nullable(Type.String({ description: 'of the training examples as tokens; null: the scores do not depend on them' })),
    operators: Type.String({ description: 'kind of operators that computed them; others round otherwise' }),
    options: Type.Record(Type.String(), Type.Unknown()),
    batches: Type.Integer({ description: 'calibration batches that were looked at' }),
    modules: Type.Array(Type.Object({ name: Type.String(), rows: Summary, columns: Summary }, { additionalProperties: false })),
    file: ManifestFile,
  },
  { additionalProperties: false },
);
export type ScoresManifest = Static<typeof ScoresManifest>;

const { file: _, ...described } = ScoresManifest.properties;
/** What the API says of a job's scores; hash and size are those of the safetensors file. */
export const ScoresSummary = Type.Object({ ...described, sha256: Type.String(), bytes: Type.Integer() }, { additionalProperties: false });
export type ScoresSummary = Static<typeof ScoresSummary>;

/** `jobs/<id>/scores.json`: the manifest of the scores that chose the job's rows. */
export const ScoresReference = Type.Object(
  { format: Type.Literal('rowsmith-scores-of/1'), manifest: ObjectRef },
  { additionalProperties: false },
);
export type ScoresReference = Static<typeof ScoresReference>;
export const scoresKeyOf = (jobId: string): string => `jobs/${jobId}/scores.json`;

const Indices = Type.Array(Type.Integer({ minimum: 0 }), { description: 'ascending' });
/** `jobs/<id>/selection.json`: the rows and columns that a job trains. */
export const Selection = Type.Object(
  {
    format: Type.Literal('rowsmith-selection/1'),
    base_sha256: Type.String(),
    modules: Type.Array(Type.Object({ name: Type.String(), rows: Indices, columns: Indices }, { additionalProperties: false })),
  },
  { additionalProperties: false },
);
export type Selection = Static<typeof Selection>;
export const selectionKeyOf = (jobId: string): string => `jobs/${jobId}/selection.json`;
