/** The HTTP side of the service: one Fastify instance over the ports. It owns no connection; whoever made the deps closes them. */
import helmet from '@fastify/helmet';
import multipart from '@fastify/multipart';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import underPressure from '@fastify/under-pressure';
import type {
  ApiKeyStore,
  AuditStore,
  EventNotifier,
  FileStore,
  JobRecord,
  JobStore,
  ObjectStore,
  ProjectStore,
  UploadStore,
} from '@rowsmith/core';
import Fastify, { type FastifyReply, type FastifyServerOptions, LogController } from 'fastify';
import { type ResultFileDeps, withResultFile } from './control/result-file.js';
import { fileRoutes } from './files/file-routes.js';
import { uploadRoutes } from './files/upload-routes.js';
import { type FleetDeps, fleetRoutes } from './fleet/fleet-routes.js';
import { type HealthDeps, healthRoutes } from './health/health-routes.js';
import { unavailable } from './http/api-error.js';
import { keepAuditLog } from './http/audit-log.js';
import { requireApiKey } from './http/auth.js';
import { allowOrigins } from './http/browsers.js';
import { answerClientError } from './http/client-error.js';
import { sendFailure, useErrorHandler } from './http/error-handler.js';
import { KnownKeys } from './http/known-keys.js';
import { describeApi, requestBodies } from './http/openapi.js';
import { refuseOtherProjects } from './http/project-header.js';
import { makeRateLimiter } from './http/rate-limit.js';
import { echoRequestId, requestId } from './http/request-id.js';
import { traceRequests } from './http/request-traces.js';
import { requireDeclaredAccess } from './http/route-access.js';
import { recordRoutes } from './http/route-table.js';
import { type Api, openAiPaths, shortPaths } from './http/routes.js';
import { sharedSerializers } from './http/serializers.js';
import { useStrictValidation } from './http/validation.js';
import { adapterRoutes } from './jobs/adapter-routes.js';
import { admissionRoutes } from './jobs/admission-routes.js';
import type { AdmissionDeps } from './jobs/admit-job.js';
import { checkpointRoutes } from './jobs/checkpoint-routes.js';
import { deletionRoutes } from './jobs/deletion-routes.js';
import { eventRoutes } from './jobs/event-routes.js';
import { jobRoutes } from './jobs/job-routes.js';
import { metricRoutes } from './jobs/metric-routes.js';
import { refuseOtherMethods } from './jobs/other-methods.js';
import { scoresRoutes } from './jobs/scores-routes.js';
import type { StreamTiming } from './jobs/sse.js';
import type { BaseModels } from './models/base-models.js';
import { limitRoutes } from './models/limit-routes.js';
import { modelRoutes } from './models/model-routes.js';
import type { TokenCounter } from './models/token-counter.js';
import { apiKeyRoutes } from './organization/api-key-routes.js';
import { auditRoutes } from './organization/audit-routes.js';
import { projectRoutes } from './organization/project-routes.js';
import { verifyRoutes } from './verify/verify-routes.js';
import { type WebhookDeps, webhookRoutes } from './webhooks/webhook-routes.js';

export interface ServerDeps extends Omit<HealthDeps, 'closing'> {
  readonly files: FileStore;
  readonly uploads: UploadStore;
  readonly jobs: JobStore;
  readonly keys: ApiKeyStore;
  readonly projects: ProjectStore;
  readonly audit: AuditStore;
  readonly dispatch: ResultFileDeps['dispatch'];
  readonly notifier: EventNotifier;
  readonly objects: ObjectStore;
  readonly models: BaseModels;
  readonly fleet: FleetDeps;
  readonly trackers: AdmissionDeps['trackers'];
  readonly tokens: TokenCounter;
  readonly webhooks: Omit<WebhookDeps, 'pepper'>;
  /** A job was created: the control loop should look now. */
  readonly onJobCreated: () => void;
  /** Called once per answered request; `route` is the pattern, never the URL. */
  readonly onResponse?: (sample: {
    readonly method: string;
    readonly route: string;
    readonly status: number;
    readonly seconds: number;
  }) => void;
}

export interface ServerOptions {
  /** Key of the HMAC under which API keys are stored. */
  readonly pepper: string;
  readonly version: string;
  readonly logger?: FastifyServerOptions['loggerInstance'] | undefined;
  readonly maxFileBytes?: number;
  /** Of one API key; 0 = no limit. */
  readonly requestsPerMinute?: number;
  readonly maxStreamsPerKey?: number;
  readonly streams?: StreamTiming;
  /** Mean delay of the event loop above which requests are turned away; default 2 s, since training runs on the same cores and short delays are normal. */
  readonly maxEventLoopDelayMs?: number;
  /** Origins that browsers may call from; none by default. */
  readonly corsOrigins?: readonly string[];
  /** Proxies whose `x-forwarded-for` is believed. */
  readonly trustedProxies?: readonly string[];
}

export const defaults = {
  maxFileBytes: 2 * 1024 ** 3,
  requestsPerMinute: 60_000,
  maxStreamsPerKey: 100,
  maxEventLoopDelayMs: 2_000,
} as const;
// Sixteen sample prompts of the longest kind, in any script, fit.
const maxJsonBytes = 512 * 1024;

/** Importing this module loads no TensorFlow. Call `listen` or `inject` on the result; `close` lets requests in flight finish and ends live streams. */
export async function buildServer(deps: ServerDeps, options: ServerOptions): Promise<Api> {
  const closing = new AbortController();
  const app = Fastify({
    ...(options.logger ? { loggerInstance: options.logger } : {}),
    // One line per request is written by the hook below, with the route instead of the URL.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: requestId,
    clientErrorHandler: answerClientError,
    bodyLimit: maxJsonBytes,
    // Time for the head of a request only: a slow upload of 2 GB is legitimate.
    connectionTimeout: 0,
    keepAliveTimeout: 72_000,
    routerOptions: { maxParamLength: 512 },
    schemaController: { compilersFactory: { buildSerializer: sharedSerializers() } },
    return503OnClosing: true,
    trustProxy: options.trustedProxies && options.trustedProxies.length > 0 ? [...options.trustedProxies] : false,
    frameworkErrors: (error, request, reply: FastifyReply) => {
      sendFailure(error, request, reply);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.server.headersTimeout = 30_000;
  app.server.requestTimeout = 0;

  const table = recordRoutes(app);
  traceRequests(app);
  requireDeclaredAccess(app);
  useErrorHandler(app, table);
  useStrictValidation(app, requestBodies);
  echoRequestId(app);
  refuseOtherMethods(app);
  app.removeContentTypeParser('text/plain');
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    // Many clients announce JSON on a POST without a body, e.g. cancel.
    if (body === '') done(null, undefined);
    else void parseJson(request, body as string, done);
  });

  // Whether there is TLS is known to the proxy in front, not to us: neither HSTS nor an upgrade to https may come from here.
  await app.register(helmet, { strictTransportSecurity: false, contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } } });
  await allowOrigins(app, options.corsOrigins ?? []);
  await app.register(underPressure, {
    maxEventLoopDelay: options.maxEventLoopDelayMs ?? defaults.maxEventLoopDelayMs,
    pressureHandler: (request, _reply, _type, delayMs) => {
      // Infinite: one pause so long that nothing was measured, which the start of a process is. Not a load that lasts.
      if (!request.routeOptions.config.public && Number.isFinite(delayMs)) throw unavailable('The server is overloaded.');
    },
  });
  const known = new KnownKeys(deps.keys, deps.projects);
  const requestsPerMinute = options.requestsPerMinute ?? defaults.requestsPerMinute;
  requireApiKey(app, known.keys, options.pepper, await makeRateLimiter(app, requestsPerMinute));
  refuseOtherProjects(app, known.projects);
  keepAuditLog(app, deps.audit);
  await app.register(multipart);
  await describeApi(app, options.version);
  app.addHook('onResponse', async (request, reply) => {
    const sample = {
      method: request.method,
      route: request.routeOptions.url ?? 'unknown',
      status: reply.statusCode,
      seconds: reply.elapsedTime / 1000,
    };
    deps.onResponse?.(sample);
    request.log.info({ op: 'http.request', ...sample, project: request.apiKey?.projectId }, 'request');
  });
  // What was in flight when the stop began ends its connection too; idle ones are closed by then.
  app.addHook('onSend', async (_request, reply) => {
    if (closing.signal.aborted) reply.header('connection', 'close');
  });
  app.addHook('preClose', async () => closing.abort());

  const present = (job: JobRecord) => withResultFile(deps, job);
  const { files, uploads, jobs, objects, models, notifier, onJobCreated } = deps;
  const openStreams = new Map<string, number>();
  const maxFileBytes = options.maxFileBytes ?? defaults.maxFileBytes;
  const maxStreamsPerKey = options.maxStreamsPerKey ?? defaults.maxStreamsPerKey;
  const { trackers } = deps;
  const limits = { maxFileBytes, maxBodyBytes: maxJsonBytes, requestsPerMinute, maxStreamsPerKey, trackers };
  for (const paths of [openAiPaths, shortPaths]) {
    fileRoutes(app, { files, objects, models, tokens: deps.tokens, maxFileBytes }, paths);
    uploadRoutes(app, { uploads, files, objects, maxFileBytes }, paths);
    const admission = { jobs, files, objects, models, present, onJobCreated, tokens: deps.tokens, trackers };
    jobRoutes(app, admission, paths);
    admissionRoutes(app, admission, paths);
    checkpointRoutes(app, { jobs }, paths);
    deletionRoutes(app, { jobs }, paths);
    eventRoutes(
      app,
      { jobs, notifier, present, closing: closing.signal, maxStreamsPerKey, openStreams, timing: options.streams ?? {} },
      paths,
    );
    metricRoutes(app, { jobs }, paths);
    adapterRoutes(app, { jobs, objects, models }, paths);
    scoresRoutes(app, { jobs, objects }, paths);
    verifyRoutes(app, { jobs, objects, models, closing: closing.signal }, paths);
    modelRoutes(app, { models, jobs }, paths);
    limitRoutes(app, { models, jobs, projects: known.projects, service: limits }, paths);
    fleetRoutes(app, deps.fleet, paths);
    projectRoutes(app, { projects: known.projects }, paths);
    apiKeyRoutes(app, { projects: known.projects, keys: known.keys, pepper: options.pepper }, paths);
    auditRoutes(app, { audit: deps.audit }, paths);
    webhookRoutes(app, { ...deps.webhooks, pepper: options.pepper }, paths);
  }
  healthRoutes(app, { probes: deps.probes, metricsText: deps.metricsText, closing: closing.signal });
  await app.ready();
  return app;
}
