export { createHttpMetrics, type HttpMetrics, type HttpSample } from './http-metrics.js';
export { createLogger, type Logger, withoutPasswords } from './logger.js';
export type { ServiceFigures } from './service-metrics.js';
export { createWorkerMetrics, type RunningAttempt, type WorkerMetrics } from './worker-metrics.js';
