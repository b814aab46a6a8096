export { createHttpMetrics, type HttpMetrics, type HttpSample } from './http-metrics.js';
export { createLogger, type Logger } from './logger.js';
export type { ServiceFigures } from './service-metrics.js';
export {
  currentTraceId,
  currentTraceparent,
  inSpan,
  type OpenSpan,
  openSpan,
  type SpanOptions,
  startTracing,
  traceSettingNames,
  tracingWanted,
} from './tracing.js';
export { withoutPasswords } from './without-passwords.js';
export { createWorkerMetrics, type RunningAttempt, type WorkerMetrics } from './worker-metrics.js';
