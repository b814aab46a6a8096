import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { begin, pointOf } from '../testing/finish-job.js';
import { openTestApi, type TestApi } from '../testing/test-api.js';

interface Seen {
  readonly path: string;
  readonly body: Record<string, unknown>;
}
const seen: Seen[] = [];
let wandbStatus = 200;
/** One server that answers as both APIs do. */
const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const text = Buffer.concat(parts).toString();
    const path = request.url ?? '';
    seen.push({ path, body: text === '' ? {} : JSON.parse(text) });
    const status = path.startsWith('/api/2.0/') ? 200 : wandbStatus;
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer(path)));
  });
});

function answer(path: string): object {
  if (path === '/graphql') return { data: { upsertBucket: { bucket: { name: 'run', project: { name: 'p', entity: { name: 'team' } } } } } };
  if (path.includes('experiments/get-by-name')) return { experiment: { experiment_id: '1' } };
  if (path.endsWith('runs/create')) return { run: { info: { run_id: 'r', experiment_id: '1' } } };
  return {};
}

let api: TestApi;
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  api = await openTestApi({ env: { WANDB_API_KEY: 'wandb-key', WANDB_BASE_URL: url, MLFLOW_TRACKING_URI: url } });
});
afterAll(async () => {
  await api.close();
  await new Promise((resolve) => server.close(resolve).closeAllConnections());
});

async function create(integrations: unknown, at: TestApi = api) {
  const file = await at.uploadExamples();
  const payload = { model: at.modelId, training_file: file.id, integrations };
  return at.app.inject({ method: 'POST', url: '/v1/fine_tuning/jobs', headers: at.headers(), payload });
}
async function until<T>(look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

const both = [
  { type: 'wandb', wandb: { project: 'p', name: 'orders', tags: ['a'] } },
  { type: 'mlflow', mlflow: { experiment: 'e' } },
];

test('the metrics of a job reach W&B and MLflow, and both runs are closed', async () => {
  const created = await create(both);
  expect(created.statusCode).toBe(200);
  const job = created.json<{ id: string; integrations: unknown }>();
  expect(job.integrations).toEqual(both);
  await api.succeed(job.id, 3);
  const closed = await until(() => seen.find(({ body }) => body['complete'] === true));
  expect(closed.body).toEqual({ complete: true, exitcode: 0 });
  const ended = await until(() => seen.find(({ path }) => path.endsWith('runs/update')));
  expect(ended.body).toMatchObject({ run_id: 'r', status: 'FINISHED' });
  const lines = seen.flatMap(({ body }) => {
    const { ['wandb-history.jsonl']: history } = (body['files'] ?? {}) as Record<string, { content: string[] }>;
    return history?.content.map((line) => JSON.parse(line) as Record<string, number>) ?? [];
  });
  expect(lines.map((line) => line['_step'])).toEqual([1, 2, 3]);
  const metrics = seen.flatMap(({ path, body }) =>
    path.endsWith('log-batch') ? ((body['metrics'] ?? []) as { key: string; step: number; value: number }[]) : [],
  );
  const losses = metrics.filter(({ key }) => key === 'train/loss');
  expect(losses.map(({ step, value }) => [step, value])).toEqual(lines.map((line) => [line['_step'], line['train/loss']]));
});

test('an evaluation that comes after its step was seen is sent with it', async () => {
  const job = (await create([{ type: 'mlflow', mlflow: { experiment: 'late' } }])).json<{ id: string }>();
  const from = seen.length;
  const { attempts } = api.worker;
  const { epoch } = await begin(api.worker, job.id);
  const sent = () =>
    seen
      .slice(from)
      .flatMap(({ path, body }) =>
        path.endsWith('log-batch') ? ((body['metrics'] ?? []) as { key: string; step: number; value: number }[]) : [],
      );
  const of = (key: string) => sent().flatMap((metric) => (metric.key === key ? [[metric.step, metric.value]] : []));
  await attempts.metrics(job.id, epoch, [pointOf(1), pointOf(2)]);
  await until(() => (of('train/loss').length > 0 ? true : undefined));
  // Step 2 may still be evaluated.
  expect(of('train/loss')).toEqual([[1, 2]]);
  await attempts.metrics(job.id, epoch, [{ ...pointOf(2), train_loss: null, valid_loss: 0.75 }]);
  await attempts.metrics(job.id, epoch, [pointOf(3)]);
  await until(() => (of('eval/loss').length > 0 ? true : undefined));
  expect(of('eval/loss')).toEqual([[2, 0.75]]);
  expect(of('train/loss')).toEqual([
    [1, 2],
    [2, 1],
  ]);
  await attempts.metrics(job.id, epoch, [{ ...pointOf(3), train_loss: null, valid_loss: 0.5 }]);
  await api.inject('POST', `/jobs/${job.id}/cancel`);
  await attempts.cancelled(job.id, epoch);
  await until(() => seen.slice(from).find(({ path }) => path.endsWith('runs/update')));
  expect(of('eval/loss')).toEqual([
    [2, 0.75],
    [3, 0.5],
  ]);
}, 60_000);

test('a server that refuses costs a warning, not the job', async () => {
  wandbStatus = 401;
  const job = (await create([both[0]])).json<{ id: string }>();
  await api.succeed(job.id, 2);
  const warning = await until(async () => {
    const { data } = (await api.inject('GET', `/v1/fine_tuning/jobs/${job.id}/events?limit=100`)).json<{
      data: { level: string; message: string }[];
    }>();
    return data.find(({ level }) => level === 'warn');
  });
  wandbStatus = 200;
  expect(warning.message).toMatch(/^Metrics are not sent to wandb: W&B answered HTTP 401/);
  expect(JSON.stringify(warning)).not.toContain('wandb-key');
  expect((await api.getJob(job.id)).status).toBe('succeeded');
});

test.each([
  [[{ type: 'wandb', wandb: {} }], 'integrations'],
  [[{ type: 'comet' }], 'integrations'],
  [Array.from({ length: 6 }, () => both[0]), 'integrations'],
])('%j is refused', async (integrations, param) => {
  const answer = await create(integrations);
  expect(answer.statusCode).toBe(400);
  expect(answer.json<{ error: { param: string } }>().error.param).toMatch(new RegExp(`^${param}`));
});

test('an integration that the operator has not set up is refused when the job is posted', async () => {
  const bare = await openTestApi({ postgres: api.postgres });
  const answer = await create(both, bare);
  await bare.close();
  expect(answer.statusCode).toBe(400);
  expect(answer.json<{ error: { message: string; param: string } }>().error).toMatchObject({
    param: 'integrations[0].type',
    message: expect.stringContaining('WANDB_API_KEY'),
  });
});

test('TensorBoard reads the metrics of a job', async () => {
  const job = (await create(null)).json<{ id: string }>();
  await api.succeed(job.id, 3);
  const answer = await api.inject('GET', `/jobs/${job.id}/metrics?format=tensorboard`);
  expect(answer.statusCode).toBe(200);
  expect(answer.headers['content-disposition']).toContain(`events.out.tfevents.${(await api.getJob(job.id)).created_at}.${job.id}`);
  // Header and one record a step, each framed by its length.
  const lengths: number[] = [];
  for (let at = 0; at < answer.rawPayload.length; at += lengths.at(-1) as number) {
    lengths.push(Number(answer.rawPayload.readBigUInt64LE(at)) + 16);
  }
  expect(lengths).toHaveLength(4);
});
