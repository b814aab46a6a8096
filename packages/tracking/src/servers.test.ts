import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { MetricPoint } from '@rowsmith/contracts';
import { afterEach, expect, test } from 'vitest';
import { Mlflow } from './mlflow.js';
import { TrackingError } from './run.js';
import { Wandb } from './wandb.js';

const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

interface Request {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: Record<string, unknown>;
}

/** A server on loopback that answers by path. */
async function server(answer: (request: Request) => [status: number, body: object]) {
  const requests: Request[] = [];
  const http = createServer((incoming, response) => {
    const parts: Buffer[] = [];
    incoming.on('data', (part: Buffer) => parts.push(part));
    incoming.on('end', () => {
      const text = Buffer.concat(parts).toString();
      const { method = '', url = '' } = incoming;
      const request = { method, path: url, authorization: incoming.headers.authorization, body: text === '' ? {} : JSON.parse(text) };
      requests.push(request);
      const [status, body] = answer(request);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  open.push(() => new Promise((resolve) => http.close(resolve).closeAllConnections()));
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, requests };
}

const empty = { train_mean_token_accuracy: null, valid_mean_token_accuracy: null, learning_rate: null, grad_norm: null };
const points: MetricPoint[] = [1, 2].map((step) => ({
  ...{ ...empty, step, epoch: step, train_loss: 1 / step, valid_loss: null, tokens: 8, labelled_tokens: 4, seconds: 1 },
}));
const run = {
  jobId: 'ftjob-1',
  name: 'orders',
  tags: ['a'],
  config: { seed: 1, row_sparse: { rows: 16, layers: [0, 3] } },
  startedAt: 1_000,
};

test('MLflow: experiment and run are made once, parameters are flat, metrics carry their step', async () => {
  const runs: object[] = [];
  const { url, requests } = await server(({ path }) => {
    if (path.startsWith('/api/2.0/mlflow/experiments/get-by-name'))
      return runs.length > 0
        ? [200, { experiment: { experiment_id: '7' } }]
        : [404, { error_code: 'RESOURCE_DOES_NOT_EXIST', message: 'none' }];
    if (path.endsWith('experiments/create')) return [200, { experiment_id: '7' }];
    if (path.endsWith('runs/search')) return [200, { runs }];
    if (path.endsWith('runs/create')) {
      runs.push({ info: { run_id: 'r1', experiment_id: '7' } });
      return [200, { run: runs[0] }];
    }
    return [200, {}];
  });
  const mlflow = new Mlflow({ url, token: 'secret' });
  const first = await mlflow.start('my experiment', run);
  await first.log(points, 0, 5_000);
  await first.finish('cancelled', 6_000);
  expect((await mlflow.start('my experiment', run)).handle).toBe(first.handle);
  const sent = (end: string) => requests.filter(({ path }) => path.endsWith(end)).map(({ body }) => body);
  expect(sent('runs/create')).toHaveLength(1);
  expect(sent('runs/log-batch')).toEqual([
    {
      run_id: 'r1',
      params: [
        { key: 'seed', value: '1' },
        { key: 'row_sparse.rows', value: '16' },
        { key: 'row_sparse.layers', value: '[0,3]' },
      ],
    },
    {
      run_id: 'r1',
      metrics: [1, 2].flatMap((step) => [
        { key: 'train/loss', value: 1 / step, timestamp: 5_000, step },
        { key: 'train/epoch', value: step, timestamp: 5_000, step },
      ]),
    },
  ]);
  expect(sent('runs/update')).toEqual([{ run_id: 'r1', status: 'KILLED', end_time: 6_000 }]);
  expect(requests.every(({ authorization }) => authorization === 'Bearer secret')).toBe(true);
});

test('W&B: the run has the job as its id, lines go to their offset, the end closes the stream', async () => {
  const bucket = { name: 'ftjob-1', project: { name: 'p', entity: { name: 'team' } } };
  const { url, requests } = await server(({ path }) => [200, path === '/graphql' ? { data: { upsertBucket: { bucket } } } : {}]);
  const tracked = await new Wandb({ url, apiKey: 'key' }).start({ project: 'p', entity: null }, run);
  expect(tracked.handle).toBe('team/p/ftjob-1');
  await tracked.log(points, 40, 5_000);
  await tracked.finish('failed', 6_000);
  const [made, logged, ended] = requests;
  expect(made?.body['variables']).toMatchObject({ name: 'ftjob-1', project: 'p', entity: null, displayName: 'orders', tags: ['a'] });
  const { config = '{}' } = (made?.body['variables'] ?? {}) as { config?: string };
  expect(JSON.parse(config)).toMatchObject({ seed: { value: 1 } });
  expect(logged?.path).toBe('/files/team/p/ftjob-1/file_stream');
  const files = logged?.body['files'] as Record<string, { offset: number; content: string[] }>;
  expect(files['wandb-history.jsonl']?.offset).toBe(40);
  expect(files['wandb-history.jsonl']?.content.map((line) => JSON.parse(line) as unknown)).toEqual(
    [1, 2].map((step) => ({ 'train/loss': 1 / step, 'train/epoch': step, 'train/global_step': step, _step: step, _timestamp: 5 })),
  );
  expect(ended?.body).toEqual({ complete: true, exitcode: 1 });
  expect(made?.authorization).toBe(`Basic ${Buffer.from('api:key').toString('base64')}`);
});

test.each([
  [401, false],
  [404, false],
  [429, true],
  [503, true],
])('HTTP %i: another attempt helps: %s', async (status, retry) => {
  const { url } = await server(() => [status, { message: 'because' }]);
  const error = await new Wandb({ url, apiKey: 'key' }).start({ project: 'p', entity: null }, run).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(TrackingError);
  expect(error).toMatchObject({ retry, message: expect.stringContaining('because') });
});

test('a refusal in GraphQL and a server that is not there', async () => {
  const { url } = await server(() => [200, { errors: [{ message: 'permission denied' }] }]);
  await expect(new Wandb({ url, apiKey: 'k' }).start({ project: 'p', entity: null }, run)).rejects.toThrow(/permission denied/);
  for (const close of open.splice(0)) await close();
  await expect(new Mlflow({ url, token: null }).start('e', run)).rejects.toMatchObject({ retry: true, message: 'MLflow does not answer' });
});
