import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { addServiceMetrics, type ServiceFigures } from './service-metrics.js';

const figures: ServiceFigures = {
  jobs: [{ status: 'queued', deviceClass: 'cpu', count: 3 }],
  oldestQueuedSeconds: [{ deviceClass: 'cpu', seconds: 12.5 }],
  attempts: [{ outcome: 'lost', deviceClass: 'cpu', count: 2 }],
  workersAlive: [{ deviceClass: 'cpu', count: 1 }],
  maxWorkerSkewSeconds: 0.25,
  maxHeartbeatAgeSeconds: 4,
  checkpoints: { usable: 7, quarantined: 1 },
  webhookDeliveries: { due: 5, waiting: 6, givenUp: 8 },
  databasePool: { total: 9, idle: 7, waiting: 2 },
};
const sample = (text: string, name: string) => text.split('\n').filter((line) => line.startsWith(name));

test('the tables are read once for all gauges, and once more when the reading is old', async () => {
  const registry = new Registry();
  let now = 0;
  let reads = 0;
  const read = async () => {
    reads += 1;
    return figures;
  };
  addServiceMetrics(registry, read, () => now);
  const text = await registry.metrics();
  expect(reads).toBe(1);
  expect(sample(text, 'rowsmith_jobs{')).toEqual(['rowsmith_jobs{status="queued",device_class="cpu"} 3']);
  expect(sample(text, 'rowsmith_queue_oldest_seconds{')).toEqual(['rowsmith_queue_oldest_seconds{device_class="cpu"} 12.5']);
  expect(sample(text, 'rowsmith_attempts{')).toEqual(['rowsmith_attempts{outcome="lost",device_class="cpu"} 2']);
  expect(sample(text, 'rowsmith_database_pool_connections{state="busy"}')).toEqual(['rowsmith_database_pool_connections{state="busy"} 2']);
  expect(sample(text, 'rowsmith_webhook_deliveries{state="given_up"}')).toEqual(['rowsmith_webhook_deliveries{state="given_up"} 8']);
  now = 2_001;
  await registry.metrics();
  expect(reads).toBe(2);
});

test('a label that is gone takes its value along', async () => {
  const registry = new Registry();
  let now = 0;
  let jobs = figures.jobs;
  addServiceMetrics(
    registry,
    async () => ({ ...figures, jobs }),
    () => now,
  );
  await registry.metrics();
  jobs = [{ status: 'running', deviceClass: 'cpu', count: 1 }];
  now = 10_000;
  expect(sample(await registry.metrics(), 'rowsmith_jobs{')).toEqual(['rowsmith_jobs{status="running",device_class="cpu"} 1']);
});

test('a database that is away hides its own gauges, not the rest', async () => {
  const registry = new Registry();
  addServiceMetrics(registry, () => Promise.reject(new Error('away')));
  const text = await registry.metrics();
  expect(sample(text, 'rowsmith_figures_up')).toEqual(['rowsmith_figures_up 0']);
  expect(sample(text, 'rowsmith_jobs{')).toEqual([]);
  expect(sample(text, 'rowsmith_job_heartbeat_age_seconds')).toEqual([]);
});
