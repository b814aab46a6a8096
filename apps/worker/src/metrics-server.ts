/** A small HTTP port for whoever watches the worker: /metrics, /healthz (the process turns), /readyz (it can take jobs). Off unless a port is given. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger, WorkerMetrics } from '@rowsmith/telemetry';

export interface MetricsServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly metrics: WorkerMetrics;
  /** null: jobs can be taken; else why not. Public, so no names of hosts. */
  readonly notReady: () => string | null;
  readonly log: Logger;
}
export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Rejects when the port is taken: a worker that nobody can watch, though somebody wanted to, should not start. */
export async function startMetricsServer({ host, port, metrics, notReady, log }: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string) => {
      response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store' });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'text/plain', 'GET only\n');
    switch (request.url?.split('?')[0]) {
      case '/healthz':
        return answer(200, 'application/json', '{"status":"ok"}\n');
      case '/readyz': {
        const reason = notReady();
        const body = { status: reason === null ? 'ready' : 'not_ready', ...(reason === null ? {} : { reason }) };
        return answer(reason === null ? 200 : 503, 'application/json', `${JSON.stringify(body)}\n`);
      }
      case '/metrics':
        metrics.text().then(
          (text) => answer(200, 'text/plain; version=0.0.4; charset=utf-8', text),
          (error: unknown) => {
            log.warn({ op: 'worker.metrics', err: error });
            answer(500, 'text/plain', 'the metrics cannot be read\n');
          },
        );
        return;
      default:
        return answer(404, 'text/plain', '/metrics, /healthz or /readyz\n');
    }
  });
  // Nobody needs long here, and a slow reader must not hold a worker that ends.
  server.requestTimeout = 5_000;
  server.headersTimeout = 5_000;
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(port, host, listening);
  });
  server.unref();
  const bound = (server.address() as AddressInfo).port;
  log.info({ op: 'worker.metrics', host, port: bound });
  return {
    port: bound,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
