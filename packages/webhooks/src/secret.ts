import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';

const prefix = 'whsec_';

/** A new signing secret in the form of Standard Webhooks: `whsec_` and 32 random bytes in base64. Shown once, when it is made. */
export const newSigningSecret = (): string => prefix + randomBytes(32).toString('base64');

export interface SignedHeaders {
  readonly 'webhook-id': string;
  readonly 'webhook-timestamp': string;
  readonly 'webhook-signature': string;
}

/**
 * Headers by which a receiver knows the sender (Standard Webhooks, HMAC-SHA-256 of `id.timestamp.body`). Several secrets give several
 * signatures, so a receiver that still holds the old one keeps working while a secret is rotated. sentAt is the time of this attempt, not of
 * the event: receivers refuse timestamps older than five minutes, and a retry may come hours later.
 */
export function signedHeaders(
  message: { readonly id: string; readonly body: string },
  secrets: readonly string[],
  sentAt: Date,
): SignedHeaders {
  return {
    'webhook-id': message.id,
    'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(message.id, sentAt, message.body)).join(' '),
  };
}
