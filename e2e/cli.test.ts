/** The command line against a running installation with a tiny model: what each group of commands prints for scripts, and how it exits. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileObject, JobEstimate, JobEvent, JobObject, MetricPoint, WebhookEndpointObject, WorkerObject } from '@rowsmith/contracts';
import { addTinyModel } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newDataDir, type Running, removeDataDir, rowsmith, up } from './support/installation.js';

let dataDir = '';
let service: Running;
let file: FileObject;
beforeAll(async () => {
  dataDir = await newDataDir();
  const models = join(dataDir, 'models');
  await addTinyModel(models);
  service = await up(dataDir, { ROWSMITH_MODELS: models, MLFLOW_TRACKING_URI: 'http://127.0.0.1:9', WANDB_API_KEY: '' });
  const row = (i: number) => JSON.stringify({ prompt: `${i}?`, completion: `${i}!` });
  await writeFile(join(dataDir, 'rows.jsonl'), Array.from({ length: 8 }, (_, i) => `${row(i)}\n`).join(''));
  file = await json<FileObject>('files', 'upload', join(dataDir, 'rows.jsonl'));
});
afterAll(async () => {
  await service.stop();
  await removeDataDir(dataDir);
});

const run = (...args: string[]) => rowsmith([...args, '--data', dataDir]);
/** The one document on stdout of a command that must succeed. */
async function json<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await run(...args, '--json');
  expect(code, `${args.join(' ')}\n${stderr}`).toBe(0);
  return JSON.parse(stdout) as T;
}

test('files: list, report, content, delete', async () => {
  expect(file).toMatchObject({ filename: 'rows.jsonl', status: 'processed' });
  expect((await json<{ data: FileObject[] }>('files', 'list', '--all')).data.map((f) => f.id)).toContain(file.id);
  expect(await json('files', 'report', file.id, '--model', 'tiny')).toMatchObject({ examples: 8, tokens: { examples: 8, complete: true } });
  expect((await run('files', 'content', file.id)).stdout).toBe(await readFile(join(dataDir, 'rows.jsonl'), 'utf8'));
  const more = await json<FileObject>('files', 'upload', join(dataDir, 'rows.jsonl'), '--name', 'more.jsonl');
  expect(await json('files', 'delete', more.id)).toEqual({ id: more.id, deleted: true });
  expect((await run('files', 'get', more.id)).code).toBe(3);
});

test('a job from a file, flags and --set; watched to its end; what it leaves', async () => {
  const request = { model: 'tiny', training_file: join(dataDir, 'rows.jsonl'), row_sparse: { rows: 2, max_steps: 9 } };
  await writeFile(join(dataDir, 'job.json'), JSON.stringify(request));
  const from = ['--file', join(dataDir, 'job.json'), '--max-steps', '3', '--set', 'row_sparse.targets=["q_proj"]', '--metadata', 'by=cli'];
  expect(await json<JobEstimate>('jobs', 'estimate', ...from)).toMatchObject({ steps: 3, row_sparse: { rows: 2, targets: ['q_proj'] } });
  const stored = await json<JobObject>('jobs', 'create', ...from, '--no-start');
  expect(stored).toMatchObject({ status: 'paused', metadata: { by: 'cli' }, row_sparse: { rows: 2, max_steps: 3, targets: ['q_proj'] } });
  expect((await json<JobObject>('jobs', 'start', stored.id)).id).toBe(stored.id);
  const job = await json<JobObject>('jobs', 'watch', stored.id);
  expect(job).toMatchObject({ status: 'succeeded', progress: { step: 3 } });
  expect((await json<{ data: JobObject[] }>('jobs', 'list', '--metadata', 'by=cli')).data.map((j) => j.id)).toEqual([job.id]);
  expect((await json<MetricPoint[]>('jobs', 'metrics', job.id)).map((p) => p.step)).toEqual([1, 2, 3]);
  expect((await run('jobs', 'metrics', job.id, '--format', 'csv')).stdout).toMatch(/^step,.*\n1,/);
  const lines = (await run('jobs', 'events', job.id, '--follow', '--json')).stdout.trim().split('\n');
  const events = lines.map((line) => JSON.parse(line) as JobEvent);
  expect([events[0]?.data['type'], events.at(-1)?.data['type']]).toEqual(['job.created', 'job.succeeded']);
  expect((await run('jobs', 'events', job.id, '--json')).stdout.trim().split('\n')).toEqual(lines);
  expect((await json<{ data: unknown[] }>('jobs', 'checkpoints', job.id)).data.length).toBeGreaterThan(0);
  expect(await json('jobs', 'scores', job.id)).toMatchObject({ scorer: 'l2' });
  const out = join(dataDir, 'scores.safetensors');
  const { bytes } = await json<{ bytes: number }>('jobs', 'scores', job.id, '--out', out);
  expect((await readFile(out)).length).toBe(bytes);
  const model = String(job.fine_tuned_model);
  expect(await json('models', 'get', model)).toMatchObject({ id: model });
  expect(await json('models', 'delete', model)).toEqual({ id: model, deleted: true });
  const late = await run('jobs', 'checkpoint', job.id, '--json');
  expect([late.code, JSON.parse(late.stderr)]).toMatchObject([3, { error: { code: 'job_not_running' } }]);
  expect(await json('jobs', 'delete', job.id)).toEqual({ id: job.id, deleted: true });
  expect((await run('jobs', 'get', job.id)).code).toBe(3);
});

test('several files with weights, a request from stdin, and what is tracked where', async () => {
  const other = join(dataDir, 'other.jsonl');
  await writeFile(other, `${JSON.stringify({ prompt: 'a', completion: 'b' })}\n`.repeat(4));
  const files = ['--training-file', `${join(dataDir, 'rows.jsonl')}=0.5`, '--training-file', other];
  const several = await run('jobs', 'create', '--model', 'tiny', ...files, '--no-start', '--json');
  expect(several.stderr.match(/^Uploaded /gm)).toHaveLength(2);
  const job = JSON.parse(several.stdout) as JobObject;
  expect(job.training_files).toEqual([
    { file: job.training_file, weight: 0.5 },
    { file: expect.stringMatching(/^file-/), weight: 1 },
  ]);
  expect(job.training_files[1]?.file).not.toBe(job.training_file);

  const request = JSON.stringify({ model: 'tiny', training_file: file.id, suffix: 'a', row_sparse: { rows: 2 } });
  const read = (input: string, ...args: string[]) =>
    rowsmith(['jobs', 'create', '--file', '-', '--no-start', '--json', '--data', dataDir, ...args], {}, { input });
  const fromStdin = await read(request, '--suffix', 'b', '--mlflow', 'trials');
  expect(fromStdin.code, fromStdin.stderr).toBe(0);
  const integrations = [{ type: 'mlflow', mlflow: { experiment: 'trials' } }];
  expect(JSON.parse(fromStdin.stdout)).toMatchObject({ training_file: file.id, suffix: 'b', row_sparse: { rows: 2 }, integrations });
  // Not set up here.
  const untracked = await read(request, '--wandb', 'p');
  expect([untracked.code, untracked.stdout]).toEqual([3, '']);
  expect(JSON.parse(untracked.stderr)).toMatchObject({ error: { param: 'integrations[0].type' } });
  for (const [input, words] of [
    ['', 'stdin is not JSON'],
    ['[]', 'stdin must be a JSON object'],
  ] as const) {
    const wrong = await read(input);
    expect([wrong.code, wrong.stdout]).toEqual([2, '']);
    expect(JSON.parse(wrong.stderr).error.message).toContain(words);
  }
});

test('Ctrl-C ends the watching, not the job: exit code 130, one whole document, a last line that says how to go on', async () => {
  const job = await json<JobObject>('jobs', 'create', '--model', 'tiny', '--training-file', file.id, '--no-start');
  const watched = await rowsmith(['jobs', 'watch', job.id, '--json', '--data', dataDir], {}, { until: 'Watching' });
  expect(watched.code).toBe(130);
  expect(JSON.parse(watched.stdout)).toMatchObject({ id: job.id, status: 'paused' });
  expect(watched.stderr.trim().split('\n').at(-1)).toBe(`The job goes on. Watch it again: rowsmith jobs watch ${job.id}`);
  const plain = await rowsmith(['jobs', 'watch', job.id, '--data', dataDir], {}, { until: 'Watching' });
  expect([plain.code, plain.stdout]).toEqual([130, '']);
  expect((await json<JobObject>('jobs', 'get', job.id)).status).toBe('paused');
});

test('a clone, paused, resumed and cancelled: each has its exit code', async () => {
  const create = ['jobs', 'create', '--model', 'tiny', '--training-file', file.id, '--no-start', '--seed', '4'];
  const job = await json<JobObject>(...create, '--idempotency-key', 'once');
  expect((await json<JobObject>(...create, '--idempotency-key', 'once')).id).toBe(job.id);
  const clone = await json<JobObject>('jobs', 'clone', job.id, '--set', 'seed=9', '--set', 'row_sparse.rows=3');
  expect(clone).toMatchObject({ status: 'paused', seed: 9, row_sparse: { rows: 3 } });
  expect((await json<JobObject>('jobs', 'cancel', clone.id)).status).toBe('cancelled');
  expect((await run('jobs', 'watch', clone.id)).code).toBe(5);
  const again = await run('jobs', 'pause', clone.id, '--json');
  expect([again.code, again.stdout]).toEqual([3, '']);
  expect(JSON.parse(again.stderr)).toMatchObject({ error: { code: 'job_already_finished', kind: 'invalid_request', exit_code: 3 } });
  const stranger = await run('jobs', 'list', '--api-key', 'wrong', '--json');
  expect(JSON.parse(stranger.stderr)).toMatchObject({ error: { kind: 'authentication', exit_code: 3 } });
});

test('webhooks and workers', async () => {
  const made = await json<WebhookEndpointObject>('webhooks', 'create', 'https://example.com/hook', '--event', 'job.failed');
  expect(made).toMatchObject({ events: ['fine_tuning.job.failed'], enabled: true, secret: expect.stringMatching(/^whsec_/) });
  expect(await json('webhooks', 'update', made.id, '--disable', '--description', 'mine')).toMatchObject({
    enabled: false,
    description: 'mine',
  });
  expect((await json<WebhookEndpointObject>('webhooks', 'rotate-secret', made.id)).secret).not.toBe(made.secret);
  expect(await json('webhooks', 'deliveries', made.id)).toMatchObject({ data: [] });
  expect(await json('webhooks', 'delete', made.id)).toEqual({ id: made.id, deleted: true });
  const [worker] = (await json<{ data: WorkerObject[] }>('workers', 'list')).data;
  expect(worker).toMatchObject({ alive: true, slots: 1 });
  expect(await json('workers', 'slots', String(worker?.device_class))).toMatchObject({ object: 'slots', slots: 0 });
});
