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

export const FileDeleted = Type.Object({ id: Type.String(), object: Type.Literal('file'), deleted: Type.Boolean() });
export type FileDeleted = Static<typeof FileDeleted>;
