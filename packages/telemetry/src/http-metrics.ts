import { collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import { addServiceMetrics, type ServiceFigures } from './service-metrics.js';

export interface HttpSample {
  readonly method: string;
  /** The pattern, never the URL: labels must be few. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}
export interface HttpMetrics {
  observe(sample: HttpSample): void;
  /** Prometheus text. */
  text(): Promise<string>;
}

/** `figures`: what the tables say of the whole installation. */
export function createHttpMetrics(figures: () => Promise<ServiceFigures>): HttpMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const duration = new Histogram({
    name: 'rowsmith_http_request_duration_seconds',
    help: 'Duration of answered requests',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [registry],
  });
  addServiceMetrics(registry, figures);
  return {
    observe: ({ method, route, status, seconds }) => duration.observe({ method, route, status: String(status) }, seconds),
    text: () => registry.metrics(),
  };
}
