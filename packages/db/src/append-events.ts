import { randomBytes } from 'node:crypto';
import { newId } from '@rowsmith/contracts';
import type { NewEvent } from '@rowsmith/core';
import { announceToWebhooks } from './announce-webhooks.js';
import { jsonb, type Transaction } from './database.js';

/** Channel that EventNotifier listens on; the payload is the job id. */
export const eventChannel = 'rowsmith_event';

/**
 * Appends events in the caller's transaction. The numbers come from the job's own row, which stays locked until commit,
 * so within a job the order of numbers is the order of commits and a reader of `seq > n` misses nothing.
 */
export async function appendEvents(tx: Transaction, jobId: string, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  const [row] = await tx.$queryRaw<{ first: number; project_id: string }[]>`
    UPDATE job SET next_seq = next_seq + ${events.length} WHERE id = ${jobId} RETURNING next_seq - ${events.length} AS first, project_id`;
  if (!row) throw new Error(`appendEvents: there is no job ${jobId}`);
  for (const [i, event] of events.entries()) {
    const id = newId('event', randomBytes);
    await tx.$executeRaw`
      INSERT INTO event (job_id, seq, id, project_id, level, type, message, data)
      VALUES (${jobId}, ${row.first + i}, ${id}, ${row.project_id}, ${event.level}::event_level, ${event.type}, ${event.message}, ${jsonb(event.data ?? {})})`;
    await announceToWebhooks(tx, jobId, row.project_id, id, event);
  }
  await tx.$executeRaw`SELECT pg_notify(${eventChannel}, ${jobId})`;
}
