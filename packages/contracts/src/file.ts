import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';

export const filePurposes = ['fine-tune', 'fine-tune-results'] as const;
export type FilePurpose = (typeof filePurposes)[number];

export const FileObject = Type.Object({
  id: Type.String(),
  object: Type.Literal('file'),
  bytes: Type.Integer(),
  created_at: Type.Integer({ description: 'unix seconds' }),
  filename: Type.String(),
  purpose: Type.Unsafe<FilePurpose>(Type.String({ enum: [...filePurposes] })),
  status: Type.Unsafe<'uploaded' | 'processed' | 'error'>(Type.String({ enum: ['uploaded', 'processed', 'error'] })),
  status_details: nullable(Type.String()),
  expires_at: nullable(Type.Integer()),
});
export type FileObject = Static<typeof FileObject>;

/** What was found in a file while it was taken in. */
export const FileFindings = Type.Object({
  shape: nullable(Type.String({ description: 'of the first line that has one' })),
  shape_line: Type.Optional(nullable(Type.Integer({ description: 'that line; not there for files from before it was kept' }))),
  compression: nullable(Type.Literal('gzip', { description: 'how it was sent; it is stored as plain JSON lines' })),
  bytes: Type.Integer({ description: 'as stored' }),
  lines: Type.Integer({ description: 'seen, blank and bad ones included' }),
  examples: Type.Integer({ description: 'lines that can be trained on' }),
  blank_lines: Type.Integer(),
  bad_lines: Type.Integer(),
  duplicates: Type.Integer({ description: 'lines that say the same, byte for byte, as a line before' }),
  error_count: Type.Integer({ description: 'of all bad lines together' }),
  errors: Type.Array(
    Type.Object({
      line: Type.Integer(),
      code: Type.String(),
      param: Type.String({ description: "field at fault; '' = the line" }),
      message: Type.String(),
    }),
    { description: 'in the order of the file, the first 1000' },
  ),
  warnings: Type.Array(Type.String()),
});
export type FileFindings = Static<typeof FileFindings>;

/** Lengths of a file's examples under a model's tokenizer and chat template. */
export const TokenCounts = Type.Object({
  model: Type.String(),
  max_seq_length: Type.Integer({ description: 'what `truncated` counts against' }),
  examples: Type.Integer({ description: 'that were counted' }),
  complete: Type.Boolean({ description: 'false: only the beginning of the file was counted, to bound the time' }),
  total: Type.Integer({ description: 'tokens of the counted examples, before truncation' }),
  labelled: Type.Integer({ description: 'of these, tokens that count in the loss, after truncation' }),
  min: Type.Integer(),
  mean: Type.Number(),
  p50: Type.Integer(),
  p95: Type.Integer(),
  max: Type.Integer(),
  truncated: Type.Integer({ description: 'examples longer than max_seq_length' }),
  dropped: Type.Integer({ description: 'examples without a token to learn after truncation' }),
  histogram: Type.Array(Type.Object({ up_to: Type.Integer({ description: 'tokens, included' }), examples: Type.Integer() })),
});
export type TokenCounts = Static<typeof TokenCounts>;

export const FileReport = Type.Object({
  object: Type.Literal('file.report'),
  file_id: Type.String(),
  ...FileFindings.properties,
  tokens: nullable(TokenCounts),
});
export type FileReport = Static<typeof FileReport>;

export const FileDeleted = Type.Object({ id: Type.String(), object: Type.Literal('file'), deleted: Type.Boolean() });
export type FileDeleted = Static<typeof FileDeleted>;
