/**
 * OpenTelemetry traces, off unless a collector is named. Callers use `inSpan` everywhere: without a collector it only runs the work, so nothing else
 * has to know whether traces are on. Contexts travel between processes as W3C `traceparent` texts.
 */
import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { withoutPasswords } from './without-passwords.js';

type Source = Readonly<Record<string, string | undefined>>;
export type SpanRole = 'server' | 'producer' | 'consumer' | 'internal';

/** What a trainer needs of the exporter. Never headers: they hold keys of the collector, and a trainer reads users' files. */
export const traceSettingNames = [
  'OTEL_SDK_DISABLED',
  'OTEL_TRACES_EXPORTER',
  'OTEL_TRACES_SAMPLER',
  'OTEL_TRACES_SAMPLER_ARG',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
  'OTEL_EXPORTER_OTLP_TIMEOUT',
  'OTEL_BSP_SCHEDULE_DELAY',
] as const;

/** A collector is named, and nothing switches traces off. */
export const tracingWanted = (env: Source): boolean =>
  Boolean(env['OTEL_EXPORTER_OTLP_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']) &&
  env['OTEL_SDK_DISABLED']?.toLowerCase() !== 'true' &&
  env['OTEL_TRACES_EXPORTER'] !== 'none';

const off = async () => undefined;

/**
 * Once per process, before the first span. Resolves with what sends the spans that are left and ends the exporter; that never rejects and takes at most
 * `flushMs`, since a collector that is away must not hold a process that ends. The SDK is loaded only when it is wanted; it reads the other OTEL_* variables itself.
 */
export async function startTracing(service: string, env: Source, flushMs = 3_000): Promise<() => Promise<void>> {
  if (!tracingWanted(env)) return off;
  const [
    { AsyncLocalStorageContextManager },
    { OTLPTraceExporter },
    { resourceFromAttributes },
    { BasicTracerProvider, BatchSpanProcessor },
  ] = await Promise.all([
    import('@opentelemetry/context-async-hooks'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/sdk-trace-base'),
  ]);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      'service.namespace': 'rowsmith',
      'service.name': `rowsmith-${service}`,
      'process.pid': process.pid,
    }),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  trace.setGlobalTracerProvider(provider);
  return async () => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, flushMs);
    });
    await Promise.race([provider.shutdown().catch(() => undefined), late]);
    clearTimeout(timer);
  };
}

const tracer = () => trace.getTracer('rowsmith');
const kinds: Readonly<Record<SpanRole, SpanKind>> = {
  server: SpanKind.SERVER,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
  internal: SpanKind.INTERNAL,
};

/** Version 00 of W3C Trace Context; whatever else it is, it is no context. */
const traceparentForm = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

function contextOf(traceparent: string | null | undefined): Context | null {
  const [, traceId = '', spanId = '', flags = '00'] = traceparentForm.exec(traceparent ?? '') ?? [];
  const spanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
  return isSpanContextValid(spanContext) ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : null;
}

/** Of the span that is active here, for a header, a row or a message; null without one. 55 characters. */
export function currentTraceparent(): string | null {
  const active = trace.getSpanContext(context.active());
  if (active === undefined || !isSpanContextValid(active)) return null;
  return `00-${active.traceId}-${active.spanId}-0${active.traceFlags & TraceFlags.SAMPLED}`;
}

/** Of the trace that is active here, for log lines. */
export const currentTraceId = (): string | undefined => trace.getSpanContext(context.active())?.traceId;

export interface OpenSpan {
  /** Runs `work` with the span as the active one. Again and again, if need be. */
  within<T>(work: () => T): T;
  note(attributes: Attributes): void;
  /** Once. `error`: it went wrong; its text is kept without passwords. */
  end(error?: unknown): void;
}
export interface SpanOptions {
  readonly role?: SpanRole;
  /** Where it hangs: a traceparent; without one (or with a broken one) under the span that is active here, or as a root. */
  readonly parent?: string | null | undefined;
  readonly attributes?: Attributes;
}

export function openSpan(name: string, { role = 'internal', parent, attributes = {} }: SpanOptions = {}): OpenSpan {
  const under = contextOf(parent) ?? context.active();
  const span: Span = tracer().startSpan(name, { kind: kinds[role], attributes }, under);
  const inside = trace.setSpan(under, span);
  return {
    within: (work) => context.with(inside, work),
    note: (more) => void span.setAttributes(more),
    end(error) {
      if (error !== undefined) {
        const message = withoutPasswords(error instanceof Error ? error.message : String(error));
        span.setStatus({ code: SpanStatusCode.ERROR, message });
      }
      span.end();
    },
  };
}

/** A span around `work`, ended however it ends. */
export async function inSpan<T>(name: string, options: SpanOptions, work: (span: OpenSpan) => Promise<T>): Promise<T> {
  const span = openSpan(name, options);
  try {
    const result = await span.within(() => work(span));
    span.end();
    return result;
  } catch (error) {
    span.end(error);
    throw error;
  }
}
