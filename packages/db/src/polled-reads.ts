/** What clients poll: one prepared statement each, past Prisma. The texts are fixed, so a connection plans each once. */
import type { JobStore, Page } from '@rowsmith/core';
import type { Database } from './database.js';
import type { Event, Metric } from './generated/client.js';
import { type JobRow, jobColumns, jobRecord, metricPoint, storedEvent } from './records.js';

const selectJob = `SELECT ${jobColumns} FROM job WHERE project_id = $1 AND id = $2 AND deleted_at IS NULL`;

const orders = ['asc', 'desc'] as const;
const byOrder = (text: (order: 'asc' | 'desc', beyond: '<' | '>') => string) =>
  Object.fromEntries(orders.map((order) => [order, text(order, order === 'desc' ? '<' : '>')])) as Record<'asc' | 'desc', string>;

const firstJobs = byOrder(
  (order) =>
    `SELECT ${jobColumns} FROM job WHERE project_id = $1 AND deleted_at IS NULL ORDER BY created_at ${order}, id ${order} LIMIT $2`,
);
const nextJobs = byOrder(
  (order, beyond) => `
    SELECT ${jobColumns} FROM job WHERE project_id = $1 AND deleted_at IS NULL AND (created_at, id) ${beyond} ($3, $4)
    ORDER BY created_at ${order}, id ${order} LIMIT $2`,
);
const eventsBeyond = byOrder(
  (order, beyond) => `
    SELECT id, seq, created_at AS "createdAt", level, type, message, data FROM event
    WHERE job_id = $1 AND project_id = $2 AND seq ${beyond} $3 ORDER BY seq ${order} LIMIT $4`,
);
const metricsAfter = `
  SELECT step, epoch, train_loss AS "trainLoss", train_mean_token_accuracy AS "trainMeanTokenAccuracy", valid_loss AS "validLoss",
         valid_mean_token_accuracy AS "validMeanTokenAccuracy", learning_rate AS "learningRate", grad_norm AS "gradNorm", tokens,
         labelled_tokens AS "labelledTokens", seconds
  FROM metric WHERE job_id = $1 AND project_id = $2 AND step > $3 ORDER BY step LIMIT $4`;

/** Beyond every number of an event, from either side. */
const outermost = { asc: -1, desc: 2 ** 31 - 1 } as const;

export interface PolledReads {
  job: JobStore['get'];
  /** `after`: the row of the cursor. Up to one more than the page has. */
  jobs(projectId: string, page: Page, after: { readonly id: string; readonly createdAt: Date } | null): Promise<readonly JobRow[]>;
  /** Up to `limit` events beyond `seq` (null: from the end), in this order. */
  events(
    projectId: string,
    id: string,
    order: 'asc' | 'desc',
    seq: number | null,
    limit: number,
  ): Promise<readonly ReturnType<typeof storedEvent>[]>;
  metrics(projectId: string, id: string, afterStep: number, limit: number): Promise<readonly ReturnType<typeof metricPoint>[]>;
}

export function polledReads({ rows }: Database): PolledReads {
  return {
    async job(projectId, id) {
      const [row] = await rows<JobRow>({ text: selectJob, values: [projectId, id] });
      return row === undefined ? null : jobRecord(row);
    },
    jobs(projectId, { order = 'desc', limit }, after) {
      const cursor = after === null ? [] : [after.createdAt, after.id];
      return rows<JobRow>({ text: (after === null ? firstJobs : nextJobs)[order], values: [projectId, limit + 1, ...cursor] });
    },
    async events(projectId, id, order, seq, limit) {
      const found = await rows<Event>({ text: eventsBeyond[order], values: [id, projectId, seq ?? outermost[order], limit] });
      return found.map(storedEvent);
    },
    async metrics(projectId, id, afterStep, limit) {
      return (await rows<Metric>({ text: metricsAfter, values: [id, projectId, afterStep, limit] })).map(metricPoint);
    },
  };
}
