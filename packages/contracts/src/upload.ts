/** OpenAI's uploads in parts: announce, send parts in any order, complete in the order that is named then. */
import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';
import { FileObject } from './file.js';

/** A byte is announced before it is sent, so the upper limit is the server's to say. */
export const ExpiresAfter = Type.Object(
  { anchor: Type.Literal('created_at'), seconds: Type.Integer({ minimum: 3600, maximum: 2_592_000 }) },
  { additionalProperties: false, description: 'the file is deleted that long after its creation, unless an unfinished job reads it' },
);
export type ExpiresAfter = Static<typeof ExpiresAfter>;

export const invalidLinePolicies = ['refuse', 'keep'] as const;
export type InvalidLinePolicy = (typeof invalidLinePolicies)[number];
export const InvalidLinePolicySchema = Type.Unsafe<InvalidLinePolicy>(
  Type.String({
    enum: [...invalidLinePolicies],
    description:
      'a file with lines that cannot be trained on is refused (default), or kept with the status `error`: its report names the lines, and jobs with `invalid_sample_skip_percentage` can use it',
  }),
);

export const CreateUploadBody = Type.Object(
  {
    purpose: Type.Literal('fine-tune'),
    filename: Type.String({ minLength: 1, maxLength: 1024 }),
    bytes: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    mime_type: Type.String({ minLength: 1, maxLength: 256 }),
    expires_after: Type.Optional(ExpiresAfter),
    on_invalid: Type.Optional(InvalidLinePolicySchema),
  },
  { additionalProperties: false, $id: 'CreateUploadRequest' },
);
export type CreateUploadBody = Static<typeof CreateUploadBody>;

export const CompleteUploadBody = Type.Object(
  {
    part_ids: Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { minItems: 1, maxItems: 10_000 }),
    md5: Type.Optional(Type.String({ maxLength: 64, description: 'of the whole content: 32 hexadecimal digits, or Base64' })),
  },
  { additionalProperties: false, $id: 'CompleteUploadRequest' },
);
export type CompleteUploadBody = Static<typeof CompleteUploadBody>;

export const uploadStatuses = ['pending', 'completed', 'cancelled', 'expired'] as const;
export type UploadStatus = (typeof uploadStatuses)[number];

export const UploadObject = Type.Object({
  id: Type.String(),
  object: Type.Literal('upload'),
  bytes: Type.Integer({ description: 'as announced' }),
  created_at: Type.Integer({ description: 'unix seconds' }),
  expires_at: Type.Integer({ description: 'unix seconds; an upload that is not complete by then is dropped' }),
  filename: Type.String(),
  purpose: Type.String(),
  status: Type.Unsafe<UploadStatus>(Type.String({ enum: [...uploadStatuses] })),
  file: nullable(FileObject),
});
export type UploadObject = Static<typeof UploadObject>;

export const UploadPartObject = Type.Object({
  id: Type.String(),
  object: Type.Literal('upload.part'),
  created_at: Type.Integer({ description: 'unix seconds' }),
  upload_id: Type.String(),
});
export type UploadPartObject = Static<typeof UploadPartObject>;
