/** OpenAI's error body: all four keys present, null where they do not apply (api.md d.1). */
import { type Static, Type } from 'typebox';

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);

export const ApiErrorBody = Type.Object(
  {
    error: Type.Object({
      message: Type.String(),
      type: Type.String(),
      param: nullable(Type.String()),
      code: nullable(Type.String()),
    }),
  },
  { $id: 'Error' },
);
export type ApiErrorBody = Static<typeof ApiErrorBody>;
export { nullable };
