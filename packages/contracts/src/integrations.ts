/** Where a job's metrics are sent besides this service. The first kind is OpenAI's own; servers and keys are the operator's. */
import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';

const Name = Type.String({ minLength: 1, maxLength: 256 });
const Tags = Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 32 });

export const JobIntegration = Type.Union([
  Type.Object(
    {
      type: Type.Literal('wandb'),
      wandb: Type.Object(
        {
          project: Name,
          name: Type.Optional(nullable(Name)),
          entity: Type.Optional(nullable(Name)),
          tags: Type.Optional(Tags),
        },
        { additionalProperties: false },
      ),
    },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      type: Type.Literal('mlflow'),
      mlflow: Type.Object(
        { experiment: Name, name: Type.Optional(nullable(Name)), tags: Type.Optional(Tags) },
        { additionalProperties: false },
      ),
    },
    { additionalProperties: false },
  ),
]);
export type JobIntegration = Static<typeof JobIntegration>;
