/** Webhooks: where events are sent. OpenAI has no API for its endpoints; the paths and objects are ours, the messages are OpenAI's. */
import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';
import type { EventType } from './events.js';

/** What a message says happened, by the job event that it tells of. The first three are OpenAI's. */
export const webhookTypeOf = {
  'job.succeeded': 'fine_tuning.job.succeeded',
  'job.failed': 'fine_tuning.job.failed',
  'job.cancelled': 'fine_tuning.job.cancelled',
  'job.paused': 'fine_tuning.job.paused',
  'checkpoint.created': 'fine_tuning.job.checkpoint.created',
} as const satisfies Partial<Record<EventType, string>>;

/** Sent on request, to try an endpoint out. */
export const webhookTestType = 'rowsmith.webhook.test';
const types = Object.values(webhookTypeOf);
export type WebhookType = (typeof types)[number];

const Url = Type.String({ minLength: 1, maxLength: 2048, description: 'https, port 443, a public address; the operator may allow more' });
const Events = Type.Array(Type.Unsafe<WebhookType>(Type.String({ enum: types })), {
  minItems: 1,
  maxItems: types.length,
  uniqueItems: true,
  description: 'default: succeeded, failed and cancelled',
});
const Description = Type.String({ maxLength: 256 });

export const CreateWebhookEndpointBody = Type.Object(
  { url: Url, events: Type.Optional(Events), description: Type.Optional(Description) },
  { additionalProperties: false },
);
export const UpdateWebhookEndpointBody = Type.Object(
  {
    url: Type.Optional(Url),
    events: Type.Optional(Events),
    description: Type.Optional(Description),
    enabled: Type.Optional(Type.Boolean({ description: 'false: nothing is sent; what happens meanwhile is not sent later' })),
  },
  { additionalProperties: false, minProperties: 1 },
);
export const RotateWebhookSecretBody = Type.Object(
  {
    overlap_seconds: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 604_800, description: 'the old secret signs as well for this long; default 86400' }),
    ),
  },
  { additionalProperties: false },
);

export const WebhookEndpointObject = Type.Object({
  object: Type.Literal('webhook_endpoint'),
  id: Type.String(),
  created_at: Type.Integer(),
  url: Type.String(),
  events: Type.Array(Type.String()),
  description: Type.String(),
  enabled: Type.Boolean(),
  secret: Type.Optional(Type.String({ description: 'only in the answer that made it: it is shown once' })),
});
export type WebhookEndpointObject = Static<typeof WebhookEndpointObject>;

export const WebhookDeliveryObject = Type.Object({
  object: Type.Literal('webhook_delivery'),
  id: Type.String({ description: 'the `webhook-id` header, the same in every attempt' }),
  created_at: Type.Integer(),
  endpoint_id: Type.String(),
  event_id: Type.String(),
  type: Type.String(),
  status: Type.Unsafe<'pending' | 'delivered' | 'failed'>(Type.String({ enum: ['pending', 'delivered', 'failed'] })),
  next_attempt_at: nullable(Type.Integer()),
  attempts: Type.Array(
    Type.Object({
      at: Type.Integer(),
      status: nullable(Type.Integer({ description: 'HTTP status; null: no answer' })),
      milliseconds: Type.Integer(),
      error: nullable(Type.String()),
    }),
    { description: 'oldest first' },
  ),
});
export type WebhookDeliveryObject = Static<typeof WebhookDeliveryObject>;
