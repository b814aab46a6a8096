/** Gauges that are asked for when somebody reads them: the tables are the truth, so a process that was just started tells the same as an old one. */
import { Gauge, type Registry } from 'prom-client';

/** As of now, of the whole installation: every api process reads the same. */
export interface ServiceFigures {
  readonly jobs: readonly { readonly status: string; readonly deviceClass: string; readonly count: number }[];
  /** Since the oldest job that waits was created; 0 when none waits. */
  readonly oldestQueuedSeconds: readonly { readonly deviceClass: string; readonly seconds: number }[];
  /** `running` while it has no outcome. */
  readonly attempts: readonly { readonly outcome: string; readonly deviceClass: string; readonly count: number }[];
  readonly workersAlive: readonly { readonly deviceClass: string; readonly count: number }[];
  /** The largest distance of a living worker's clock from the database's. */
  readonly maxWorkerSkewSeconds: number;
  /** Since the last heartbeat of the running job that is silent longest; 0 when none runs. */
  readonly maxHeartbeatAgeSeconds: number;
  readonly checkpoints: { readonly usable: number; readonly quarantined: number };
  /** due: could be sent now; waiting: after a failed try, or held by a process that sends it; given_up: nobody tries any more. */
  readonly webhookDeliveries: { readonly due: number; readonly waiting: number; readonly givenUp: number };
  /** Of this process. */
  readonly databasePool: { readonly total: number; readonly idle: number; readonly waiting: number };
}

/** How long a reading answers for all who ask: several scrapers cost the database no more than one. */
const freshMs = 2_000;

/**
 * Adds the gauges to `registry`. When the reading fails they are absent from the text, `rowsmith_figures_up` is 0, and the rest of the metrics stands: a
 * database that is away must not hide the process.
 */
export function addServiceMetrics(
  registry: Registry,
  read: () => Promise<ServiceFigures>,
  clock: () => number = () => performance.now(),
): void {
  let last: { readonly at: number; readonly figures: Promise<ServiceFigures | null> } | null = null;
  const figures = (): Promise<ServiceFigures | null> => {
    if (last === null || clock() - last.at > freshMs) last = { at: clock(), figures: read().catch(() => null) };
    return last.figures;
  };
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    fill: (now: ServiceFigures, set: (labels: Partial<Record<L, string>>, value: number) => void) => void,
  ) =>
    new Gauge({
      ...{ name: `rowsmith_${name}`, help, labelNames: [...labelNames], registers: [registry] },
      async collect() {
        // A label that is gone must not keep its last value.
        this.reset();
        const now = await figures();
        // Without labels `reset` leaves a zero, which would be a claim.
        if (now === null) {
          if (labelNames.length === 0) this.remove();
        } else fill(now, (labels, value) => this.set(labels as Record<L, string>, value));
      },
    });
  const classed = ['device_class'] as const;
  new Gauge({
    ...{
      name: 'rowsmith_figures_up',
      help: '1: the tables answered; 0: the gauges of jobs and workers are missing',
      registers: [registry],
    },
    async collect() {
      this.set((await figures()) === null ? 0 : 1);
    },
  });
  gauge('jobs', 'Jobs by status and device class ("any" until the first attempt)', ['status', ...classed], (now, set) => {
    for (const { status, deviceClass, count } of now.jobs) set({ status, device_class: deviceClass }, count);
  });
  gauge('queue_oldest_seconds', 'Age of the oldest job that waits for a worker', classed, (now, set) => {
    for (const { deviceClass, seconds } of now.oldestQueuedSeconds) set({ device_class: deviceClass }, seconds);
  });
  gauge('attempts', 'Attempts by outcome, of all jobs that are stored', ['outcome', ...classed], (now, set) => {
    for (const { outcome, deviceClass, count } of now.attempts) set({ outcome, device_class: deviceClass }, count);
  });
  gauge('workers_alive', 'Workers whose heartbeat is fresh', classed, (now, set) => {
    for (const { deviceClass, count } of now.workersAlive) set({ device_class: deviceClass }, count);
  });
  gauge('worker_clock_skew_seconds', "Largest distance of a living worker's clock from the database's", [], (now, set) =>
    set({}, now.maxWorkerSkewSeconds),
  );
  gauge('job_heartbeat_age_seconds', 'Silence of the running job that is silent longest', [], (now, set) =>
    set({}, now.maxHeartbeatAgeSeconds),
  );
  gauge('checkpoints', 'Checkpoints in the tables', ['state'], (now, set) => {
    set({ state: 'usable' }, now.checkpoints.usable);
    set({ state: 'quarantined' }, now.checkpoints.quarantined);
  });
  gauge('webhook_deliveries', 'Webhook deliveries that have not arrived', ['state'], (now, set) => {
    set({ state: 'due' }, now.webhookDeliveries.due);
    set({ state: 'waiting' }, now.webhookDeliveries.waiting);
    set({ state: 'given_up' }, now.webhookDeliveries.givenUp);
  });
  gauge('database_pool_connections', "Connections of this process's pool", ['state'], (now, set) => {
    set({ state: 'busy' }, now.databasePool.total - now.databasePool.idle);
    set({ state: 'idle' }, now.databasePool.idle);
  });
  gauge('database_pool_waiting', 'Queries that wait for a connection', [], (now, set) => set({}, now.databasePool.waiting));
}
