import { webhookTypeOf } from '@rowsmith/contracts';
import type { NewEvent } from '@rowsmith/core';
import type { Transaction } from './database.js';

const types: Readonly<Partial<Record<NewEvent['type'], string>>> = webhookTypeOf;

/**
 * A delivery for every endpoint of the project that wants to hear of this event, in the transaction that appends it: what is rolled back is not
 * sent, what is committed is. The body is OpenAI's, fixed here once, so that every attempt sends the same bytes.
 */
export async function announceToWebhooks(
  tx: Transaction,
  jobId: string,
  projectId: string,
  eventId: string,
  event: NewEvent,
): Promise<void> {
  const type = types[event.type];
  if (type === undefined) return;
  await tx.$executeRaw`
    INSERT INTO webhook_delivery (id, endpoint_id, event_id, type, body)
    SELECT 'whd_' || replace(gen_random_uuid()::text, '-', ''), id, ${eventId}, ${type},
           json_build_object('id', ${eventId}::text, 'object', 'event', 'created_at', floor(extract(epoch FROM clock_timestamp()))::bigint,
                             'type', ${type}::text, 'data', json_build_object('id', ${jobId}::text))::text
    FROM webhook_endpoint WHERE project_id = ${projectId} AND enabled AND ${type} = ANY(events)`;
}
