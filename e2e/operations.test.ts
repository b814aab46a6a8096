/** What an operator has: one trace of a job over all processes, metrics of every process, logs without secrets, and a backup that becomes a working installation. */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobObject } from '@rowsmith/contracts';
import { addTinyModel } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startCollector } from './support/collector.js';
import { childrenOf, newDataDir, type Running, removeDataDir, rowsmith, up } from './support/installation.js';
import { post, uploadText } from './support/jobs.js';

const apiKey = 'rsk_e2eSecretKeyThatMustNeverBeLogged00000';
const headers = 'x-collector-key=s3cretOfTheCollector';
let collector: Awaited<ReturnType<typeof startCollector>>;
let [dataDir, restoredDir, backupParent] = ['', '', ''];
let service: Running;
let metricsUrl = '';
let job: JobObject;
const models = () => join(dataDir, 'models');

const lines = Array.from({ length: 16 }, (_, i) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: `count ${i}` },
      { role: 'assistant', content: `${i}, ${i + 1}` },
    ],
  }),
);
async function finished(running: Running, id: string): Promise<JobObject> {
  for (;;) {
    const now = await running.json<JobObject>(`/v1/fine_tuning/jobs/${id}`);
    if (['succeeded', 'failed', 'cancelled'].includes(now.status)) return now;
    await new Promise((next) => setTimeout(next, 100));
  }
}
async function train(running: Running, init: Record<string, string> = {}): Promise<JobObject> {
  const file = (await (await uploadText(running, `${lines.join('\n')}\n`)).json()) as { id: string };
  const body = { model: 'tiny', training_file: file.id, seed: 3, row_sparse: { rows: 3, max_steps: 4, learning_rate: 0.01 } };
  const request = post(body);
  const made = await running.json<JobObject>('/v1/fine_tuning/jobs', { ...request, headers: { ...request.headers, ...init } });
  return finished(running, made.id);
}
async function adapterHash(running: Running, id: string): Promise<string> {
  const response = await running.request(`/jobs/${id}/adapter/adapter_model.safetensors`);
  expect(response.status).toBe(200);
  return createHash('sha256')
    .update(new Uint8Array(await response.arrayBuffer()))
    .digest('hex');
}
const logsOf = async (folder: string) =>
  (await Promise.all((await readdir(join(folder, 'logs'))).map((name) => readFile(join(folder, 'logs', name), 'utf8')))).join('\n');

beforeAll(async () => {
  collector = await startCollector();
  [dataDir, restoredDir, backupParent] = await Promise.all([newDataDir(), newDataDir(), newDataDir()]);
  await addTinyModel(models());
  service = await up(dataDir, {
    ROWSMITH_API_KEY: apiKey,
    ROWSMITH_MODELS: models(),
    ROWSMITH_THREADS: '1',
    ROWSMITH_METRICS_PORT: '0',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: headers,
    OTEL_BSP_SCHEDULE_DELAY: '100',
  });
});
afterAll(async () => {
  await service.stop();
  await collector.close();
  await Promise.all([dataDir, restoredDir, backupParent].map(removeDataDir));
});

test("a request's trace goes on in the dispatch, the worker and the trainer", async () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  job = await train(service, { traceparent: `00-${traceId}-b7ad6b7169203331-01` });
  expect(job).toMatchObject({ status: 'succeeded', error: null });
  const mine = () => collector.spans.filter((span) => span.traceId === traceId);
  // The attempt's span ends after the job does.
  while (!mine().some(({ name }) => name === 'job.attempt')) await new Promise((next) => setTimeout(next, 50));
  const spans = mine();
  const one = (name: string) => spans.find((span) => span.name === name);
  const request = one('POST /v1/fine_tuning/jobs');
  expect(request).toMatchObject({ service: 'rowsmith-api', parentSpanId: 'b7ad6b7169203331' });
  expect(one('job.dispatch')).toMatchObject({ service: 'rowsmith-api', parentSpanId: request?.spanId });
  expect(one('job.attempt')).toMatchObject({ service: 'rowsmith-worker', parentSpanId: request?.spanId });
  expect(one('trainer.attempt')).toMatchObject({ service: 'rowsmith-trainer', parentSpanId: one('job.attempt')?.spanId });
  expect(one('trainer.training')).toMatchObject({ service: 'rowsmith-trainer', parentSpanId: one('trainer.attempt')?.spanId });
  expect(new Set(spans.map(({ pid }) => pid)).size).toBe(3);
});

test('metrics of the installation at the API, of the worker and its trainer at the worker', async () => {
  const text = await (await service.request('/metrics')).text();
  expect(text).toContain('rowsmith_figures_up 1\n');
  expect(text).toContain('rowsmith_jobs{status="succeeded",device_class="cpu"} 1\n');
  expect(text).toContain('rowsmith_attempts{outcome="succeeded",device_class="cpu"} 1\n');
  expect(text).toContain('rowsmith_workers_alive{device_class="cpu"} 1\n');
  expect(text).toMatch(/^rowsmith_database_pool_connections\{state="idle"\} [1-9]/m);
  const said = /"op":"worker.metrics","host":"127.0.0.1","port":(\d+)/.exec(await readFile(join(dataDir, 'logs', 'worker.log'), 'utf8'));
  metricsUrl = `http://127.0.0.1:${said?.[1]}`;
  expect(await (await fetch(`${metricsUrl}/readyz`)).json()).toEqual({ status: 'ready' });
  const worker = await (await fetch(`${metricsUrl}/metrics`)).text();
  expect(worker).toContain('rowsmith_trainer_steps_total 4\n');
  expect(worker).toMatch(/^rowsmith_trainer_tokens_total [1-9]/m);
  expect(worker).toContain('rowsmith_worker_attempt_seconds_count{outcome="succeeded"} 1\n');
});

test('no secret is in a log, an event, a trace or a metric, whatever goes wrong; one line for a request and for an attempt', async () => {
  await service.request('/v1/fine_tuning/jobs/ftjob-none?api_key=hunter2hunter2');
  await fetch(`${service.url}/v1/models`, { headers: { authorization: 'Bearer wrong-key-hunter2hunter2' } });
  const pepper = (await readFile(join(dataDir, 'pepper'), 'utf8')).trim();
  const password = (await readFile(join(dataDir, 'postgres.password'), 'utf8')).trim();
  const events = await (await service.request(`/v1/fine_tuning/jobs/${job.id}/events?limit=100`)).text();
  const logs = await logsOf(dataDir);
  const metrics = `${await (await service.request('/metrics')).text()}${await (await fetch(`${metricsUrl}/metrics`)).text()}`;
  for (const secret of [apiKey, pepper, password, 's3cretOfTheCollector', 'hunter2hunter2'])
    for (const [where, text] of Object.entries({ logs, events, metrics, traces: collector.raw() }))
      expect(text.includes(secret), where).toBe(false);
  const entries = logs.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Record<string, unknown>] : []));
  const attempts = entries.filter(({ op, jobId }) => op === 'attempt' && jobId === job.id);
  expect(attempts).toMatchObject([{ outcome: 'succeeded', step: 4, traceId: '0af7651916cd43dd8448eb211c80319c' }]);
  const created = entries.filter(({ op, route, method }) => op === 'http.request' && method === 'POST' && route === '/v1/fine_tuning/jobs');
  expect(created).toMatchObject([{ status: 200 }]);
});

test("a trainer's environment has no key, no database and no header of the collector", async () => {
  const file = (await (await uploadText(service, `${lines.join('\n')}\n`)).json()) as { id: string };
  const body = { model: 'tiny', training_file: file.id, row_sparse: { rows: 3, max_steps: 5000 } };
  const { id } = await service.json<JobObject>('/v1/fine_tuning/jobs', post(body));
  let environment = '';
  while (environment === '') {
    const [pid] = await childrenOf(service.pids['worker'] ?? 0);
    environment = pid === undefined ? '' : await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    const command = pid === undefined ? '' : await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    // Between fork and exec the child still has its parent's memory.
    if (!command.includes('trainer')) environment = '';
  }
  const names = environment.split('\0').map((entry) => entry.split('=')[0]);
  expect(names).toContain('ROWSMITH_THREADS');
  expect(names).not.toEqual(expect.arrayContaining(['DATABASE_URL']));
  expect(environment).not.toMatch(/DATABASE_URL|REDIS_URL|PEPPER|API_KEY|AWS_|postgres|s3cretOfTheCollector/);
  await service.json(`/v1/fine_tuning/jobs/${id}/cancel`, { method: 'POST' });
  expect((await finished(service, id)).status).toBe('cancelled');
});

test('a backup of the running installation becomes another one, with its jobs, adapters and keys', async () => {
  const before = await adapterHash(service, job.id);
  const folder = join(backupParent, 'backup');
  const taken = await rowsmith(['backup', folder, '--data', dataDir]);
  expect(taken.stderr).toBe('');
  expect(taken.code).toBe(0);
  expect((await stat(folder)).mode & 0o077).toBe(0);
  expect((await rowsmith(['backup', folder, '--data', dataDir])).stderr).toMatch(/is not empty/);

  const refused = await rowsmith(['restore', folder, '--data', dataDir]);
  expect(refused.code).toBe(1);

  const damaged = join(folder, 'tables', 'job.jsonl');
  const rows = await readFile(damaged, 'utf8');
  await writeFile(damaged, rows.replace('"seed":3', '"seed":4'));
  expect((await rowsmith(['restore', folder, '--data', restoredDir])).stderr).toMatch(/tables\/job\.jsonl is not what the backup says/);
  await writeFile(damaged, rows);

  const restored = await rowsmith(['restore', folder, '--data', restoredDir]);
  expect(restored.stderr).toBe('');
  expect(restored.code).toBe(0);
  const second = await up(restoredDir, { ROWSMITH_API_KEY: apiKey, ROWSMITH_MODELS: models(), ROWSMITH_THREADS: '1' });
  try {
    expect(await second.json<JobObject>(`/v1/fine_tuning/jobs/${job.id}`)).toEqual(job);
    expect(await adapterHash(second, job.id)).toBe(before);
    const again = await train(second);
    expect(again.status).toBe('succeeded');
    expect(await adapterHash(second, again.id)).toBe(before);
  } finally {
    await second.stop();
  }
});
