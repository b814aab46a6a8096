/** For load balancers and for people: alive, ready, metrics, and the description of the API. None of it tells internals. */
import { Type } from 'typebox';
import { openApiDocument } from '../http/openapi.js';
import { failures, json, streamed } from '../http/replies.js';
import type { Api } from '../http/routes.js';

export interface HealthDeps {
  /** Each rejects, or resolves to the reason, when its part cannot take jobs now; null = fine. */
  readonly probes: Readonly<Record<string, () => Promise<string | null>>>;
  /** Prometheus text. */
  readonly metricsText: () => Promise<{ readonly type: string; readonly text: string }>;
  readonly closing: AbortSignal;
}

const probeTimeoutMs = 2_000;
const Checks = Type.Object({
  status: Type.Unsafe<'ready' | 'not_ready'>(Type.String({ enum: ['ready', 'not_ready'] })),
  checks: Type.Record(Type.String(), Type.String(), { description: '`ok`, or what is missing' }),
});

async function ask(probe: () => Promise<string | null>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('no answer'), probeTimeoutMs);
  });
  try {
    return await Promise.race([probe().then((fault) => fault ?? 'ok'), late]);
  } catch {
    // The error's text may name hosts or users; readiness is public.
    return 'not available';
  } finally {
    clearTimeout(timer);
  }
}

export function healthRoutes(app: Api, deps: HealthDeps): void {
  const service = { tags: ['service'], security: [] };

  app.get(
    '/healthz',
    {
      config: { public: true },
      schema: {
        ...service,
        summary: 'Is the process alive',
        response: { 200: json('It is', Type.Object({ status: Type.Literal('ok') })) },
      },
    },
    async () => ({ status: 'ok' as const }),
  );

  app.get(
    '/readyz',
    {
      config: { public: true },
      schema: {
        ...service,
        summary: 'Can jobs be taken',
        response: { 200: json('Every part answers', Checks), 503: json('Something is missing', Checks) },
      },
    },
    async (_request, reply) => {
      const names = Object.keys(deps.probes);
      const answers = await Promise.all(Object.values(deps.probes).map(ask));
      const checks = Object.fromEntries(names.map((name, i) => [name, answers[i] ?? 'no answer']));
      if (deps.closing.aborted) checks['process'] = 'shutting down';
      const ready = Object.values(checks).every((answer) => answer === 'ok');
      if (!ready) reply.code(503).header('retry-after', '2');
      return { status: ready ? ('ready' as const) : ('not_ready' as const), checks };
    },
  );

  app.get(
    '/metrics',
    {
      config: { scope: 'metrics:read' },
      schema: {
        tags: ['service'],
        summary: 'Metrics for Prometheus',
        response: { 200: { description: 'Prometheus text format', content: { 'text/plain': { schema: streamed } } }, ...failures() },
      },
    },
    async (_request, reply) => {
      const { type, text } = await deps.metricsText();
      return reply.type(type).send(text);
    },
  );

  app.get(
    '/openapi.json',
    {
      config: { public: true },
      schema: {
        ...service,
        summary: 'This description of the API',
        response: { 200: json('OpenAPI 3.1', Type.Object({}, { additionalProperties: true })) },
      },
    },
    async (_request, reply) => reply.type('application/json; charset=utf-8').send(JSON.stringify(openApiDocument(app))),
  );
}
