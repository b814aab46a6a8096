import { createLogger, createWorkerMetrics } from '@rowsmith/telemetry';
import { expect, test } from 'vitest';
import { startMetricsServer } from './metrics-server.js';
import { residentMemory } from './resident-memory.js';

test('what a worker did is told over HTTP, with the memory of its trainer while it runs', async () => {
  const metrics = createWorkerMetrics();
  let reason: string | null = 'the queue is not open yet';
  const server = await startMetricsServer({
    ...{ host: '127.0.0.1', port: 0, metrics, notReady: () => reason, log: createLogger('test', 'silent') },
  });
  const get = (path: string, method = 'GET') => fetch(`http://127.0.0.1:${server.port}${path}`, { method });
  try {
    expect((await get('/healthz')).status).toBe(200);
    expect((await get('/readyz')).status).toBe(503);
    reason = null;
    expect(await (await get('/readyz')).json()).toEqual({ status: 'ready' });
    expect((await get('/other')).status).toBe(404);
    expect((await get('/metrics', 'POST')).status).toBe(405);

    const idle = await (await get('/metrics')).text();
    expect(idle).toContain('rowsmith_worker_busy 0\n');
    expect(idle).not.toMatch(/^rowsmith_trainer_resident_memory_bytes /m);
    metrics.attemptBegan({ rssBytes: () => residentMemory(process.pid), heartbeatAgeSeconds: () => 1.5 });
    metrics.stepDone({ seconds: 0.2, tokens: 100, labelledTokens: 40 });
    metrics.stepDone({ seconds: 4, tokens: 50, labelledTokens: 20 });
    metrics.checkpointWritten(1000);
    const busy = await (await get('/metrics')).text();
    expect(busy).toContain('rowsmith_trainer_steps_total 2\n');
    expect(busy).toContain('rowsmith_trainer_tokens_total 150\n');
    expect(busy).toContain('rowsmith_trainer_labelled_tokens_total 60\n');
    expect(busy).toContain('rowsmith_trainer_step_seconds_bucket{le="0.3"} 1\n');
    expect(busy).toContain('rowsmith_trainer_checkpoint_bytes_total 1000\n');
    expect(busy).toContain('rowsmith_worker_heartbeat_age_seconds 1.5\n');
    const rss = Number(/^rowsmith_trainer_resident_memory_bytes (\S+)$/m.exec(busy)?.[1]);
    expect(rss).toBeGreaterThan(10e6);
    metrics.attemptEnded('succeeded', 12);
    const after = await (await get('/metrics')).text();
    expect(after).toContain('rowsmith_worker_attempt_seconds_count{outcome="succeeded"} 1\n');
    expect(after).not.toMatch(/^rowsmith_worker_heartbeat_age_seconds /m);
  } finally {
    await server.close();
  }
});

test('a port that is taken is an error at the start', async () => {
  const options = { host: '127.0.0.1', metrics: createWorkerMetrics(), notReady: () => null, log: createLogger('test', 'silent') };
  const first = await startMetricsServer({ ...options, port: 0 });
  await expect(startMetricsServer({ ...options, port: first.port })).rejects.toThrow(/EADDRINUSE/);
  await first.close();
});
