export { type Delivery, type DeliveryOutcome, WebhookSender } from './deliver.js';
export { checkUrl, DestinationError, type DestinationPolicy } from './destination.js';
export { maxDeliveryAttempts, retryDelaySeconds } from './retry-delay.js';
export { newSigningSecret } from './secret.js';
