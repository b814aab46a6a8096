import { webhookTypeOf } from '@rowsmith/contracts';
import type { NewEvent } from '@rowsmith/core';
import type { Transaction } from './database.js';
import { Prisma } from './generated/client.js';

const types: Readonly<Partial<Record<NewEvent['type'], string>>> = webhookTypeOf;

/** undefined: no endpoint hears of such events. */
export const webhookTypeFor = (event: NewEvent['type']): string | undefined => types[event];

/** INSERT of a delivery for every endpoint of `project` (a query of one id) that wants to hear of `type`. The body is OpenAI's, fixed here once. */
export const webhookDeliveries = (
  { jobId, eventId, type }: { readonly jobId: string; readonly eventId: string; readonly type: string | undefined },
  project: Prisma.Sql,
): Prisma.Sql => Prisma.sql`
    INSERT INTO webhook_delivery (id, endpoint_id, event_id, type, body)
    SELECT 'whd_' || replace(gen_random_uuid()::text, '-', ''), id, ${eventId}, ${type},
           json_build_object('id', ${eventId}::text, 'object', 'event', 'created_at', floor(extract(epoch FROM clock_timestamp()))::bigint,
                             'type', ${type}::text, 'data', json_build_object('id', ${jobId}::text))::text
    FROM webhook_endpoint WHERE project_id = (${project}) AND enabled AND ${type} = ANY(events)`;

/**
 * A delivery for every endpoint of the project that wants to hear of this event, in the transaction that appends it: what is rolled back is not
 * sent, what is committed is. Every attempt sends the same bytes.
 */
export async function announceToWebhooks(
  tx: Transaction,
  jobId: string,
  projectId: string,
  eventId: string,
  event: NewEvent,
): Promise<void> {
  const type = webhookTypeFor(event.type);
  if (type !== undefined) await tx.$executeRaw(webhookDeliveries({ jobId, eventId, type }, Prisma.sql`SELECT ${projectId}`));
}
