import { Type } from 'typebox';

export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'the same key and body make one job however often they are sent; kept for 24 hours',
    }),
  ),
});
