/** What a job on a base model may ask for, here and now. */
import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';
import { ProjectQuotas } from './tenancy.js';

/** Of one field; a bound that does not apply is left out. */
export const FieldLimit = Type.Object({
  values: Type.Optional(
    Type.Array(Type.Union([Type.String(), Type.Boolean()]), { description: 'that may be given; none: leave the field out for this model' }),
  ),
  minimum: Type.Optional(Type.Number()),
  exclusive_minimum: Type.Optional(Type.Number()),
  maximum: Type.Optional(Type.Number()),
  exclusive_maximum: Type.Optional(Type.Number()),
  min_items: Type.Optional(Type.Integer()),
  max_items: Type.Optional(Type.Integer()),
  max_length: Type.Optional(Type.Integer({ description: 'characters' })),
  default: Type.Optional(
    Type.Unknown({ description: 'what "auto" becomes where that does not depend on the files; of `memory` the worker decides' }),
  ),
});
export type FieldLimit = Static<typeof FieldLimit>;
const FieldLimits = Type.Record(Type.String(), FieldLimit);

export const ModelLimits = Type.Object({
  object: Type.Literal('model.limits'),
  model: Type.String(),
  kind: Type.Unsafe<'decoder' | 'encoder'>(Type.String({ enum: ['decoder', 'encoder'], description: 'encoder: trained as a classifier' })),
  context_length: Type.Integer({ description: 'tokens' }),
  layers: Type.Integer(),
  matrices: Type.Array(
    Type.Object({
      target: Type.String(),
      rows: Type.Integer({ description: 'that it has, in each layer' }),
      columns: Type.Integer(),
    }),
    { description: 'of a layer, by their names in `row_sparse.targets`' },
  ),
  rows_of_channels: Type.Record(Type.String(), Type.Integer(), {
    description:
      'largest whole number for `row_sparse.rows`, by `row_sparse.channels`, with all targets; a smaller matrix is trained whole',
  }),
  job: Type.Record(Type.String(), FieldLimit, { description: 'fields of the request itself' }),
  hyperparameters: FieldLimits,
  row_sparse: Type.Record(Type.String(), FieldLimit, {
    description: 'each field by itself, the others as they are by default (`rows` few enough); `rows.ratio` is the field `ratio` of `rows`',
  }),
  devices: Type.Array(
    Type.Object({
      device: Type.String(),
      memory_bytes: Type.Number(),
      memory: Type.Array(
        Type.Object({
          mode: Type.Unsafe<'fast' | 'low'>(Type.String({ enum: ['fast', 'low'] })),
          needed_bytes: Type.Integer(),
          fits: Type.Boolean(),
        }),
      ),
    }),
    {
      description:
        'what a job with batch_size 1 and all else by default would take, by the formula of estimates, at the default max_seq_length',
    },
  ),
  files: Type.Object({
    max_bytes: Type.Integer({ description: 'of a file, unpacked' }),
    max_line_bytes: Type.Integer(),
    max_part_bytes: Type.Integer({ description: 'of a part of an upload' }),
    max_parts: Type.Integer(),
  }),
  requests: Type.Object({
    per_minute: nullable(Type.Integer({ description: 'of an API key; null: no limit' })),
    streams: Type.Integer({ description: 'live event streams of an API key at a time' }),
    max_body_bytes: Type.Integer({ description: 'of JSON' }),
  }),
  quotas: Type.Unsafe<Static<typeof ProjectQuotas>>({ ...ProjectQuotas, description: 'of your project; null: no limit' }),
});
export type ModelLimits = Static<typeof ModelLimits>;
