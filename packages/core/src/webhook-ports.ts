/** Who wants to hear of events, and what has been sent to them. All times are the database's. */
import type { ProjectId, WebhookDeliveryId, WebhookEndpointId, WebhookType } from '@rowsmith/contracts';
import type { Page, PageOf } from './ports.js';

export interface WebhookEndpointRecord {
  readonly id: WebhookEndpointId;
  readonly projectId: ProjectId;
  readonly url: string;
  readonly description: string;
  readonly events: readonly string[];
  readonly enabled: boolean;
  readonly createdAt: Date;
}
export interface WebhookAttempt {
  readonly at: number;
  readonly status: number | null;
  readonly milliseconds: number;
  readonly error: string | null;
}
export interface WebhookDeliveryRecord {
  readonly id: WebhookDeliveryId;
  readonly endpointId: WebhookEndpointId;
  readonly eventId: string;
  readonly type: string;
  readonly createdAt: Date;
  readonly deliveredAt: Date | null;
  readonly givenUpAt: Date | null;
  readonly nextAttemptAt: Date;
  /** Oldest first. */
  readonly attempts: readonly WebhookAttempt[];
}
/** A delivery that this process may now try; nobody else will until its lease ends. */
export interface DueDelivery {
  readonly id: WebhookDeliveryId;
  readonly url: string;
  readonly body: string;
  /** As they were given to `create` and `rotate`, newest first, those that have run out left out. */
  readonly sealedSecrets: readonly string[];
  /** Attempts made before this one. */
  readonly attempts: number;
}

/** Deliveries come into being in the transaction that appends their event, so none is lost and none is sent of what was rolled back. */
export interface WebhookStore {
  /** 'full': the project has `limit` endpoints. */
  create(
    endpoint: Pick<WebhookEndpointRecord, 'id' | 'projectId' | 'url' | 'description'> & {
      readonly events: readonly WebhookType[];
      readonly sealedSecret: string;
    },
    limit: number,
  ): Promise<WebhookEndpointRecord | 'full'>;
  get(projectId: ProjectId, id: string): Promise<WebhookEndpointRecord | null>;
  list(projectId: ProjectId, page: Page): Promise<PageOf<WebhookEndpointRecord>>;
  update(
    projectId: ProjectId,
    id: string,
    change: Partial<Pick<WebhookEndpointRecord, 'url' | 'description' | 'events' | 'enabled'>>,
  ): Promise<WebhookEndpointRecord | null>;
  /** With its deliveries. */
  delete(projectId: ProjectId, id: string): Promise<boolean>;
  /** The old secret signs as well for `overlapSeconds`. */
  rotate(projectId: ProjectId, id: string, sealedSecret: string, overlapSeconds: number): Promise<WebhookEndpointRecord | null>;
  /** Newest first. */
  deliveries(projectId: ProjectId, endpointId: string, page: Page): Promise<PageOf<WebhookDeliveryRecord> | null>;
  /** To be sent again now, whatever became of it. */
  replay(projectId: ProjectId, deliveryId: string): Promise<WebhookDeliveryRecord | null>;
  /** A delivery that tells of no event. */
  enqueueTest(projectId: ProjectId, endpointId: string, id: WebhookDeliveryId): Promise<WebhookDeliveryRecord | null>;
  claimDue(limit: number, leaseSeconds: number): Promise<readonly DueDelivery[]>;
  /** retryInSeconds: null gives up, or nothing was wrong. */
  settle(due: DueDelivery, attempt: Omit<WebhookAttempt, 'at'>, retryInSeconds: number | null): Promise<void>;
}
