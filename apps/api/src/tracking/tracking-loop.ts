/**
 * Sends the metrics of jobs to W&B and MLflow as they come. Metrics are read from the tables, so neither trainer nor worker knows of it, a job is
 * never slowed or failed by a tracking server, and whatever a crash left unsent is sent by the next round.
 */
import type { JobIntegration, MetricPoint } from '@rowsmith/contracts';
import { type DueTracking, isFinal, type JobStore, modelNameOf, type TrackingStore } from '@rowsmith/core';
import { Mlflow, type RunEnd, type TrackedRun, TrackingError, Wandb } from '@rowsmith/tracking';
import type { ControlLog } from '../control/control-loop.js';
import { type Rounds, startRounds } from '../control/rounds.js';

/** Servers of the operator's choice; null where there is none. */
export interface TrackingServers {
  readonly wandb: { readonly url: string; readonly apiKey: string } | null;
  readonly mlflow: { readonly url: string; readonly token: string | null } | null;
}
export interface TrackingLoopDeps {
  readonly tracking: TrackingStore;
  readonly jobs: Pick<JobStore, 'metrics'>;
  readonly servers: TrackingServers;
  readonly log: ControlLog;
}

export const trackersOf = ({ wandb, mlflow }: TrackingServers): ReadonlySet<JobIntegration['type']> =>
  new Set<JobIntegration['type']>([...(wandb === null ? [] : (['wandb'] as const)), ...(mlflow === null ? [] : (['mlflow'] as const))]);

const together = 8;
const leaseSeconds = 120;
const pagePoints = 1_000;
/** Between two looks at a job that trains. */
const everySeconds = 5;
const retrySeconds = [10, 30, 60, 300, 900, 3600, 7200];

/** The server's side of an integration; null: the operator has configured none. */
function runOf(
  servers: TrackingServers,
  integration: JobIntegration,
): { start(due: DueTracking): Promise<TrackedRun>; attach(handle: string): TrackedRun } | null {
  const describe = ({ job }: DueTracking, name: string | null | undefined, tags: readonly string[] | undefined) => ({
    jobId: job.id,
    name: name ?? modelNameOf(job),
    tags: tags ?? [],
    config: {
      ...{ model: job.model, seed: job.seed, training_file: job.trainingFile, validation_file: job.validationFile },
      ...{ hyperparameters: job.hyperparameters, row_sparse: job.rowSparse },
    },
    startedAt: (job.startedAt ?? job.createdAt).getTime(),
  });
  if (integration.type === 'wandb') {
    if (servers.wandb === null) return null;
    const wandb = new Wandb(servers.wandb);
    const { project, entity, name, tags } = integration.wandb;
    return {
      start: (due) => wandb.start({ project, entity: entity ?? null }, describe(due, name, tags)),
      attach: (handle) => wandb.attach(handle),
    };
  }
  if (servers.mlflow === null) return null;
  const mlflow = new Mlflow(servers.mlflow);
  const { experiment, name, tags } = integration.mlflow;
  return { start: (due) => mlflow.start(experiment, describe(due, name, tags)), attach: (handle) => mlflow.attach(handle) };
}

async function serve({ tracking, jobs, servers }: TrackingLoopDeps, due: DueTracking): Promise<void> {
  const server = runOf(servers, due.integration);
  if (server === null) throw new TrackingError(`this service has no ${due.integration.type} server any more`, false);
  const run = due.handle === null ? await server.start(due) : server.attach(due.handle);
  const progress = { handle: run.handle, url: run.url, lastStep: due.lastStep, sentPoints: due.sentPoints };
  const now = Date.now();
  for (;;) {
    const read: readonly MetricPoint[] = (await jobs.metrics(due.job.projectId, due.job.id, progress.lastStep, pagePoints)) ?? [];
    // The newest step may still be evaluated, which fills in its row: it is whole when another has come after it, or the job is over.
    const page = isFinal(due.job.status) ? read : read.slice(0, -1);
    const last = page.at(-1);
    if (last === undefined) break;
    await run.log(page, progress.sentPoints, now);
    progress.lastStep = last.step;
    progress.sentPoints += page.length;
    await tracking.note(due, progress, { inSeconds: leaseSeconds });
  }
  // The job was read before its metrics: if it was over then, these are all.
  if (isFinal(due.job.status)) {
    await run.finish(due.job.status as RunEnd, (due.job.finishedAt ?? new Date(now)).getTime());
    await tracking.note(due, progress, 'finished');
  } else await tracking.note(due, progress, { inSeconds: everySeconds });
}

/** Serves what is due now; returns how many that were. */
export async function trackingRound(deps: TrackingLoopDeps): Promise<number> {
  const all = await deps.tracking.due(together, leaseSeconds);
  for (const due of all) {
    try {
      await serve(deps, due);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const retry = error instanceof TrackingError && !error.retry ? null : (retrySeconds[due.tries] ?? null);
      deps.log.warn(
        { op: 'tracking', job: due.job.id, integration: due.integration.type, err: error, retryInSeconds: retry },
        'metrics not sent',
      );
      await deps.tracking.fail(due, message, retry);
    }
  }
  return all.length;
}

export function startTrackingLoop(deps: TrackingLoopDeps, everyMs = 2_000): Rounds {
  return startRounds(async () => {
    await trackingRound(deps).catch((error: unknown) =>
      deps.log.warn({ op: 'tracking.round', err: error }, 'tracking round failed, tried again'),
    );
    return 'enough';
  }, everyMs);
}
