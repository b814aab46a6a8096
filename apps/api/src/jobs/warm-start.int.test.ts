import type { JobObject } from '@rowsmith/contracts';
import { openDatabase } from '@rowsmith/db';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Chain, leaveChain } from '../testing/leave-chain.js';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
let earlier = '';
let trainingFile = '';
let chain: Chain;
beforeAll(async () => {
  api = await openTestApi();
  trainingFile = (await api.uploadExamples()).id;
  earlier = (await api.createJob(trainingFile)).id;
  chain = await leaveChain(api.worker, earlier, { tokenizerSha256: '0'.repeat(64) });
});
afterAll(() => api.close());

async function create(from: string, caller: 'main' | 'other' = 'main') {
  const payload = { model: api.modelId, training_file: trainingFile, row_sparse: { warm_start_from: from } };
  const answer = await api.app.inject({ method: 'POST', url: '/jobs', headers: api.headers(caller), payload });
  return { status: answer.statusCode, body: answer.json<JobObject & { error: { code: string; param: string; message: string } }>() };
}
/** What the worker is told to begin from. */
async function startOf(id: string): Promise<unknown> {
  const database = openDatabase(api.databaseUrl);
  const { spec } = await database.prisma.job.findUniqueOrThrow({ where: { id } });
  await database.close();
  return (spec as { warm_start?: unknown }).warm_start;
}
async function checkpointAt(step: number): Promise<string> {
  const { data } = (await api.inject('GET', `/v1/fine_tuning/jobs/${earlier}/checkpoints?limit=100`)).json<{
    data: { id: string; step_number: number }[];
  }>();
  return data.find(({ step_number }) => step_number === step)?.id ?? '';
}
const rowsIn = (files: readonly { name: string; key: string; sha256: string; bytes: number }[]) => {
  const { key, sha256, bytes } = files.find(({ name }) => name === 'rows.safetensors') as (typeof files)[number];
  return { key, sha256, bytes };
};

test("a job's id stands for the rows of its adapter", async () => {
  const { status, body } = await create(earlier);
  expect(status).toBe(200);
  expect(await startOf(body.id)).toEqual(rowsIn(chain.adapter.manifest.files));
});

test('a checkpoint of a job is a start too', async () => {
  const { status, body } = await create(await checkpointAt(4));
  expect(status).toBe(200);
  expect(await startOf(body.id)).toEqual(rowsIn(chain.checkpoints.get('e2/4')?.manifest.files ?? []));
});

test.each([
  ['a checkpoint that is none', async () => 'ftckpt_000000000000000000000000', 'checkpoint_not_found'],
  ['a job that is none', async () => 'ftjob-000000000000000000000000', 'job_not_found'],
  ['a job that has not succeeded', async () => (await api.createJob(trainingFile)).id, 'job_not_found'],
  [
    'a checkpoint that retention has removed',
    async () => {
      await api.worker.objects.delete(chain.checkpoints.get('e1/1')?.key ?? '');
      return checkpointAt(1);
    },
    'checkpoint_not_found',
  ],
])('%s is refused', async (_name, from, code) => {
  const { status, body } = await create(await from());
  expect([status, body.error.code, body.error.param]).toEqual([400, code, 'row_sparse.warm_start_from']);
});
