import type { MetricPoint } from '@rowsmith/contracts';
import type { NewEvent } from '@rowsmith/core';
import { appendEvents } from './append-events.js';
import { jsonb, type Transaction } from './database.js';

const text = (value: number | null, digits = 4) => (value === null ? '-' : value.toFixed(digits));

function eventOf(point: MetricPoint, totalSteps: number | null): NewEvent {
  const valid = point.valid_loss === null ? '' : `, validation loss=${text(point.valid_loss)}`;
  const train = point.train_loss === null ? '' : `, training loss=${text(point.train_loss)}`;
  const total = totalSteps === null ? '' : `/${totalSteps}`;
  return {
    level: 'info',
    type: 'metrics',
    message: `Step ${point.step}${total}${train}${valid}`,
    data: { ...point, total_steps: totalSteps },
  };
}

/** Of one step: what the later one has, and the earlier one's where it has nothing. `seconds` stay those of the step, not of the evaluation after it. */
function together(before: MetricPoint, after: MetricPoint): MetricPoint {
  const both = { ...before, ...Object.fromEntries(Object.entries(after).filter(([, value]) => value !== null)) };
  return before.train_loss !== null && after.train_loss === null ? { ...both, seconds: before.seconds } : both;
}

/**
 * A step and an evaluation after it share a row: each sets its own columns. A resumed attempt repeats the steps since its checkpoint with the same
 * values; they replace the row and make no second event. All rows in one statement: while it runs the job's row is locked.
 */
export async function storeMetrics(tx: Transaction, jobId: string, points: readonly MetricPoint[]): Promise<void> {
  const job = await tx.job.findUniqueOrThrow({ where: { id: jobId }, select: { projectId: true, totalSteps: true } });
  const stored = await tx.metric.findMany({ where: { jobId, step: { in: points.map((p) => p.step) } } });
  const known = new Map(stored.map(({ step, trainLoss, validLoss }) => [step, { trainLoss, validLoss }]));
  const events: NewEvent[] = [];
  const rows = new Map<number, MetricPoint>();
  for (const p of points) {
    const before = known.get(p.step);
    const repeated = before && (p.train_loss === null || before.trainLoss !== null) && (p.valid_loss === null || before.validLoss !== null);
    if (!repeated) events.push(eventOf(p, job.totalSteps));
    known.set(p.step, { trainLoss: p.train_loss ?? before?.trainLoss ?? null, validLoss: p.valid_loss ?? before?.validLoss ?? null });
    const row = rows.get(p.step);
    rows.set(p.step, row === undefined ? p : together(row, p));
  }
  const highest = Math.max(0, ...points.filter((p) => p.train_loss !== null).map((p) => p.step));
  await tx.$executeRaw`
    WITH job AS (UPDATE job SET step = GREATEST(step, ${highest}) WHERE id = ${jobId})
    INSERT INTO metric (job_id, step, project_id, epoch, train_loss, train_mean_token_accuracy, valid_loss, valid_mean_token_accuracy, learning_rate, grad_norm, tokens, labelled_tokens, seconds)
    SELECT ${jobId}, p.step, ${job.projectId}, p.epoch, p.train_loss, p.train_mean_token_accuracy, p.valid_loss, p.valid_mean_token_accuracy,
           p.learning_rate, p.grad_norm, p.tokens, p.labelled_tokens, p.seconds
    FROM jsonb_to_recordset(${jsonb([...rows.values()])}) AS p(step int, epoch float8, train_loss float8, train_mean_token_accuracy float8, valid_loss float8,
           valid_mean_token_accuracy float8, learning_rate float8, grad_norm float8, tokens int, labelled_tokens int, seconds float8)
    ON CONFLICT (job_id, step) DO UPDATE SET epoch = EXCLUDED.epoch,
      train_loss = COALESCE(EXCLUDED.train_loss, metric.train_loss),
      train_mean_token_accuracy = COALESCE(EXCLUDED.train_mean_token_accuracy, metric.train_mean_token_accuracy),
      valid_loss = COALESCE(EXCLUDED.valid_loss, metric.valid_loss),
      valid_mean_token_accuracy = COALESCE(EXCLUDED.valid_mean_token_accuracy, metric.valid_mean_token_accuracy),
      learning_rate = COALESCE(EXCLUDED.learning_rate, metric.learning_rate), grad_norm = COALESCE(EXCLUDED.grad_norm, metric.grad_norm),
      tokens = COALESCE(EXCLUDED.tokens, metric.tokens), labelled_tokens = COALESCE(EXCLUDED.labelled_tokens, metric.labelled_tokens),
      seconds = CASE WHEN EXCLUDED.train_loss IS NULL AND metric.train_loss IS NOT NULL THEN metric.seconds ELSE COALESCE(EXCLUDED.seconds, metric.seconds) END`;
  await appendEvents(tx, jobId, events);
}
