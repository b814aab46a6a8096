import type { WebhookDeliveryObject, WebhookEndpointObject } from '@rowsmith/contracts';
import type { WebhookDeliveryRecord, WebhookEndpointRecord } from '@rowsmith/core';
import { unixSeconds } from '../http/paging.js';

export const toEndpointObject = (endpoint: WebhookEndpointRecord): WebhookEndpointObject => ({
  object: 'webhook_endpoint',
  id: endpoint.id,
  created_at: unixSeconds(endpoint.createdAt),
  url: endpoint.url,
  events: [...endpoint.events],
  description: endpoint.description,
  enabled: endpoint.enabled,
});

export function toDeliveryObject(delivery: WebhookDeliveryRecord): WebhookDeliveryObject {
  const over = delivery.deliveredAt !== null || delivery.givenUpAt !== null;
  return {
    object: 'webhook_delivery',
    id: delivery.id,
    created_at: unixSeconds(delivery.createdAt),
    endpoint_id: delivery.endpointId,
    event_id: delivery.eventId,
    type: delivery.type,
    status: delivery.deliveredAt !== null ? 'delivered' : delivery.givenUpAt !== null ? 'failed' : 'pending',
    next_attempt_at: over ? null : unixSeconds(delivery.nextAttemptAt),
    attempts: [...delivery.attempts],
  };
}
