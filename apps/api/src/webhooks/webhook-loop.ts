/**
 * Sends due webhooks. Every API process runs it: a delivery is leased to one of them at a time, and a process that dies with a lease only delays it.
 * A message may arrive twice (the answer was lost, or a process died after sending); its `webhook-id` is then the same.
 */
import type { DueDelivery, WebhookStore } from '@rowsmith/core';
import { type DeliveryOutcome, maxDeliveryAttempts, retryDelaySeconds, type WebhookSender } from '@rowsmith/webhooks';
import type { ControlLog } from '../control/control-loop.js';
import { type Rounds, startRounds } from '../control/rounds.js';
import { openSecret } from './seal-secret.js';

export interface WebhookLoopDeps {
  readonly webhooks: WebhookStore;
  readonly sender: Pick<WebhookSender, 'deliver'>;
  readonly pepper: string;
  readonly log: ControlLog;
}

const together = 16;
/** Longer than an attempt can take. */
const leaseSeconds = 60;

async function sendOne({ webhooks, sender, pepper, log }: WebhookLoopDeps, due: DueDelivery): Promise<void> {
  const outcome = await attempt(sender, pepper, due);
  const { status, milliseconds } = outcome;
  const retry = outcome.delivered || !outcome.retry ? null : retryDelaySeconds(due.attempts + 1, due.id, outcome.retryAfterSeconds);
  const error = outcome.delivered ? null : outcome.error;
  await webhooks.settle(due, { status, milliseconds, error }, retry);
  const fields = { op: 'webhook.deliver', delivery: due.id, attempt: due.attempts + 1, of: maxDeliveryAttempts, status, milliseconds };
  if (error === null) log.info(fields, 'webhook delivered');
  else log.warn({ ...fields, reason: error, retryInSeconds: retry }, retry === null ? 'webhook given up' : 'webhook failed');
}

async function attempt(sender: WebhookLoopDeps['sender'], pepper: string, due: DueDelivery): Promise<DeliveryOutcome> {
  let secrets: readonly string[];
  try {
    secrets = due.sealedSecrets.map((sealed) => openSecret(pepper, sealed));
  } catch {
    const error = 'the signing secret cannot be read (was ROWSMITH_PEPPER changed?); rotate it';
    return { delivered: false, status: null, milliseconds: 0, error, retry: false, retryAfterSeconds: null };
  }
  return sender.deliver({ ...due, secrets });
}

/** Sends what is due now; returns how many that were. */
export async function webhookRound(deps: WebhookLoopDeps): Promise<number> {
  const due = await deps.webhooks.claimDue(together, leaseSeconds);
  await Promise.all(
    due.map((delivery) =>
      sendOne(deps, delivery).catch((error: unknown) =>
        deps.log.warn({ op: 'webhook.deliver', delivery: delivery.id, err: error }, 'not settled; tried again after its lease'),
      ),
    ),
  );
  return due.length;
}

export function startWebhookLoop(deps: WebhookLoopDeps, everyMs = 2_000): Rounds {
  return startRounds(async () => {
    const sent = await webhookRound(deps).catch((error: unknown) => {
      deps.log.warn({ op: 'webhook.round', err: error }, 'webhook round failed, tried again');
      return 0;
    });
    return sent === together ? 'more' : 'enough';
  }, everyMs);
}
