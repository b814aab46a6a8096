export { createHttpMetrics, type HttpMetrics, type HttpSample } from './http-metrics.js';
export { createLogger, type Logger, withoutPasswords } from './logger.js';
