/** The API process put together: real stores, queue, object store, server and control loop. Whoever opens it closes it. */
import {
  createApiKeyStore,
  createAuditStore,
  createDispatchStore,
  createFileStore,
  createJobStore,
  createProjectStore,
  createReferenceStore,
  createTrackingStore,
  createUploadStore,
  createWebhookStore,
  createWorkerStore,
  openDatabase,
  serviceFigures,
  startEventNotifier,
} from '@rowsmith/db';
import { createWakeQueue } from '@rowsmith/queue';
import { openObjectStore } from '@rowsmith/storage';
import { createHttpMetrics, type Logger } from '@rowsmith/telemetry';
import { WebhookSender } from '@rowsmith/webhooks';
import { type ControlOptions, startControlLoop, workerSilenceMs } from './control/control-loop.js';
import { startGarbageCollection } from './control/garbage.js';
import { sweep } from './control/sweep.js';
import type { ApiEnv } from './env.js';
import { hashApiKey } from './http/auth.js';
import type { Api } from './http/routes.js';
import type { StreamTiming } from './jobs/sse.js';
import { baseModelsIn } from './models/base-models.js';
import { tokenCounterOf } from './models/token-counter.js';
import { apiVersion } from './openapi-document.js';
import { buildServer } from './server.js';
import { startTrackingLoop, trackersOf } from './tracking/tracking-loop.js';
import { startWebhookLoop } from './webhooks/webhook-loop.js';

export interface ServiceOptions {
  readonly streams?: StreamTiming;
  readonly control?: ControlOptions;
  readonly maxEventLoopDelayMs?: number;
  /** How long the database and the queue may be late, in any order of starting. */
  readonly patienceMs?: number;
}
export interface Service {
  readonly app: Api;
  /** Takes no more requests, lets those in flight finish, ends live streams, stops the loop, closes every connection. */
  close(): Promise<void>;
}

const retryMs = 1_000;

/** Again until it works: a database that starts after us, or is migrated after us, is not a reason to fail. */
async function patiently<T>(what: string, work: () => Promise<T>, patienceMs: number, log: Logger): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (performance.now() > deadline) throw new Error(`${what} did not answer for ${patienceMs / 1000} s`, { cause: error });
      log.warn({ op: 'api.start', waitingFor: what, err: error }, 'waiting');
      await new Promise((next) => setTimeout(next, retryMs));
    }
  }
}

export async function openService(env: ApiEnv, log: Logger, options: ServiceOptions = {}): Promise<Service> {
  const patienceMs = options.patienceMs ?? 60_000;
  const undo: (() => Promise<void>)[] = [];
  const close = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    const database = openDatabase(env.databaseUrl);
    undo.push(() => database.close());
    const keys = createApiKeyStore(database);
    await patiently(
      'the database',
      async () => {
        for (const key of env.apiKeys) await keys.ensure({ hash: hashApiKey(env.pepper, key), last4: key.slice(-4), name: 'environment' });
        await keys.findByHash('');
      },
      patienceMs,
      log,
    );
    const queue = await createWakeQueue(env.redisUrl === null ? { databaseUrl: env.databaseUrl } : { redisUrl: env.redisUrl }, {
      signal: AbortSignal.timeout(patienceMs),
      onError: (error) => log.warn({ op: 'queue', err: error }, 'the queue has trouble'),
    });
    undo.push(() => queue.close());
    const dispatch = createDispatchStore(database, env.databaseUrl);
    undo.push(() => dispatch.close());
    const notifier = startEventNotifier(env.databaseUrl);
    undo.push(() => notifier.close());

    const objects = await openObjectStore(env.storage);
    undo.push(async () => objects.close());
    await patiently('the object store', () => objects.prepare(), patienceMs, log);
    const stores = {
      files: createFileStore(database),
      uploads: createUploadStore(database),
      jobs: createJobStore(database),
      objects,
    };
    const metrics = createHttpMetrics(() => serviceFigures(database, workerSilenceMs));
    const loop = startControlLoop(
      {
        ...stores,
        dispatch,
        queue,
        log,
        tidy: (batch) => sweep({ ...stores, audit: createAuditStore(database), auditDays: env.auditDays }, batch),
      },
      { staleMs: env.staleMs, ...options.control },
    );
    undo.push(() => loop.stop());
    const workers = createWorkerStore(database);
    const references = createReferenceStore(database);
    undo.push(startGarbageCollection({ objects, references, asLeader: (work) => dispatch.asLeader(work), log }));
    const policy = { allowPrivate: env.privateWebhooks };
    const sender = new WebhookSender(policy);
    undo.push(() => sender.close());
    const webhooks = createWebhookStore(database);
    const webhookLoop = startWebhookLoop({ webhooks, sender, pepper: env.pepper, log });
    undo.push(() => webhookLoop.stop());
    const trackingLoop = startTrackingLoop({ tracking: createTrackingStore(database), jobs: stores.jobs, servers: env.tracking, log });
    undo.push(() => trackingLoop.stop());
    const app = await buildServer(
      {
        ...stores,
        keys,
        projects: createProjectStore(database),
        audit: createAuditStore(database),
        dispatch,
        notifier,
        models: baseModelsIn(env.modelsDir),
        tokens: tokenCounterOf(env.modelsDir, stores.objects),
        trackers: trackersOf(env.tracking),
        fleet: { workers, workerSilenceMs },
        webhooks: { webhooks, policy, onDue: () => webhookLoop.nudge() },
        onJobCreated: () => loop.nudge(),
        onResponse: (sample) => metrics.observe(sample),
        metricsText: async () => ({ type: 'text/plain; version=0.0.4; charset=utf-8', text: await metrics.text() }),
        probes: {
          database: async () => {
            await keys.findByHash('');
            return null;
          },
          ...(env.minWorkers === 0
            ? {}
            : {
                workers: async () => {
                  const alive = (await workers.list(workerSilenceMs)).filter((worker) => worker.alive).length;
                  return alive >= env.minWorkers ? null : `${alive} of ${env.minWorkers} are alive`;
                },
              }),
          queue: async () => ((await queue.ready()) ? null : 'not available'),
          storage: async () => {
            await stores.objects.put(`service/readiness-${process.pid}`, Buffer.from('ready'));
            return null;
          },
        },
      },
      {
        pepper: env.pepper,
        version: await apiVersion(),
        logger: log,
        maxFileBytes: env.maxFileBytes,
        requestsPerMinute: env.requestsPerMinute,
        corsOrigins: env.corsOrigins,
        trustedProxies: env.trustedProxies,
        ...(options.streams ? { streams: options.streams } : {}),
        ...(options.maxEventLoopDelayMs ? { maxEventLoopDelayMs: options.maxEventLoopDelayMs } : {}),
      },
    );
    undo.push(() => app.close());
    return { app, close };
  } catch (error) {
    await close();
    throw error;
  }
}
