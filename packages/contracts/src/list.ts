import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';

/** OpenAI's list envelope; `has_more` is always sent, or the SDKs' CursorPage never stops. */
export const listOf = <T extends Parameters<typeof Type.Array>[0]>(item: T) =>
  Type.Object({
    object: Type.Literal('list'),
    data: Type.Array(item),
    has_more: Type.Boolean(),
    first_id: Type.Optional(nullable(Type.String())),
    last_id: Type.Optional(nullable(Type.String())),
  });

export const ModelObject = Type.Object({
  id: Type.String(),
  object: Type.Literal('model'),
  created: Type.Integer(),
  owned_by: Type.String(),
});
export type ModelObject = Static<typeof ModelObject>;

export const ModelDeleted = Type.Object({ id: Type.String(), object: Type.Literal('model'), deleted: Type.Boolean() });
export type ModelDeleted = Static<typeof ModelDeleted>;

export const JobDeleted = Type.Object({ id: Type.String(), object: Type.Literal('fine_tuning.job'), deleted: Type.Boolean() });
export type JobDeleted = Static<typeof JobDeleted>;
