import { randomBytes } from 'node:crypto';
import { newId } from '@rowsmith/contracts';
import type { NewEvent } from '@rowsmith/core';
import { announceToWebhooks } from './announce-webhooks.js';
import { jsonb, type Transaction } from './database.js';

/** Channel that EventNotifier listens on; the payload is the job id. */
export const eventChannel = 'rowsmith_event';

/**
 * Appends events in the caller's transaction. The numbers come from the job's own row, which stays locked until commit,
 * so within a job the order of numbers is the order of commits and a reader of `seq > n` misses nothing. A job that was deleted meanwhile gets none.
 */
export async function appendEvents(tx: Transaction, jobId: string, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  const entries = events.map((event) => ({ ...event, id: newId('event', randomBytes), data: event.data ?? {} }));
  // One round trip: numbering, the rows and the notification, which is sent when the transaction commits.
  const [row] = await tx.$queryRaw<{ project_id: string }[]>`
    WITH job AS (UPDATE job SET next_seq = next_seq + ${entries.length} WHERE id = ${jobId} AND deleted_at IS NULL
                 RETURNING next_seq - ${entries.length} AS first, project_id),
    written AS (
      INSERT INTO event (job_id, seq, id, project_id, level, type, message, data)
      SELECT ${jobId}, job.first + e.place - 1, e.value ->> 'id', job.project_id, (e.value ->> 'level')::event_level, e.value ->> 'type', e.value ->> 'message',
             e.value -> 'data'
      FROM job, jsonb_array_elements(${jsonb(entries)}) WITH ORDINALITY AS e(value, place) RETURNING 1)
    SELECT project_id, pg_notify(${eventChannel}, ${jobId})::text AS notified FROM job WHERE (SELECT count(*) FROM written) > 0`;
  if (!row) {
    if ((await tx.job.count({ where: { id: jobId } })) > 0) return;
    throw new Error(`appendEvents: there is no job ${jobId}`);
  }
  for (const event of entries) await announceToWebhooks(tx, jobId, row.project_id, event.id, event);
}
