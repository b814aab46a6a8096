/** The service's main job through the command line: two installations side by side, a job watched to its end, its results and its adapter. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobObject } from '@rowsmith/contracts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newDataDir, type Running, removeDataDir, rowsmith, up } from './support/installation.js';
import { liveEvents, post, shortJob, uploadExample } from './support/jobs.js';

let folders: string[] = [];
let first: Running;
let second: Running;
beforeAll(async () => {
  folders = await Promise.all([newDataDir(), newDataDir()]);
  [first, second] = await Promise.all([up(folders[0] ?? ''), up(folders[1] ?? '', { ROWSMITH_API_KEY: 'a-key-of-my-own' })]);
});
afterAll(async () => {
  await Promise.all([first.stop(), second.stop()]);
  await Promise.all(folders.map(removeDataDir));
});

test('rowsmith jobs create --watch, jobs get, adapters pull', async () => {
  const data = ['--data', first.dataDir];
  const options = [
    '--model',
    'smollm2-135m-instruct',
    '--training-file',
    'examples/train.jsonl',
    '--validation-file',
    'examples/valid.jsonl',
  ];
  const created = await rowsmith([
    'jobs',
    'create',
    ...data,
    ...options,
    '--rows',
    '8',
    '--max-steps',
    '3',
    '--batch-size',
    '2',
    '--seed',
    '5',
    '--suffix',
    'e2e',
    '--prompt',
    'hello',
    '--row-sparse',
    '{"eval_every_steps":3,"sample_max_tokens":4}',
    '--watch',
  ]);
  expect(created.stderr).toMatch(/step 3\/3 {2}loss \d/);
  expect(created.code).toBe(0);
  const id = /ftjob-\w{24}/.exec(created.stdout)?.[0] ?? '';
  const job = JSON.parse((await rowsmith(['jobs', 'get', id, ...data, '--json'])).stdout) as JobObject;
  expect(job).toMatchObject({ status: 'succeeded', seed: 5, row_sparse: { rows: 8, max_steps: 3 }, progress: { step: 3, total_steps: 3 } });
  expect(job.fine_tuned_model).toMatch(/^ft:smollm2-135m-instruct:.*:e2e:/);

  const results = await (await first.request(`/v1/files/${job.result_files[0]}/content`)).text();
  const [header, ...rows] = results.trim().split('\n');
  expect(header).toMatch(/^step,train_loss/);
  expect(rows.filter((r) => /^[123],\d/.test(r))).toHaveLength(3);

  const out = join(first.dataDir, 'adapter');
  const verified = await rowsmith(['verify', id, ...data]);
  expect(verified.code, verified.stdout).toBe(0);
  expect(verified.stdout).toMatch(/^ok +adapter: rows of the checkpoint/m);
  expect(verified.stdout).not.toMatch(/^(BROKEN|unchecked)/m);

  const pulled = await rowsmith(['adapters', 'pull', id, ...data, '--out', out]);
  expect(pulled.code).toBe(0);
  expect(await readdir(out)).toEqual(
    expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors', 'README.md', 'tokenizer.json']),
  );
  const config = JSON.parse(await readFile(join(out, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
  expect(config).toMatchObject({ peft_type: 'LORA', r: 8, lora_alpha: 8 });
  expect((await rowsmith(['adapters', 'pull', id, ...data, '--out', out])).code).toBe(1);

  // The other installation knows nothing of it.
  expect((await second.request(`/jobs/${id}`)).status).toBe(404);
  const list = await rowsmith(['jobs', 'list', '--url', second.url, '--api-key', 'a-key-of-my-own', '--json']);
  expect((JSON.parse(list.stdout) as { data: unknown[] }).data).toEqual([]);
});

test('a stream that breaks loses nothing and repeats nothing', async () => {
  const file = await uploadExample(second, 'train', 4);
  const { id } = await second.json<JobObject>('/jobs', post(shortJob(file.id, 4)));
  const seen: string[] = [];
  for (let finished = false; !finished; ) {
    let inThisConnection = 0;
    for await (const event of liveEvents(second, id, seen.at(-1))) {
      seen.push(event.seq);
      finished = ['job.succeeded', 'job.failed'].includes(String(event.data['type']));
      inThisConnection += 1;
      if (inThisConnection === 3 && !finished) break;
    }
  }
  expect(seen).toEqual(Array.from({ length: seen.length }, (_, i) => String(i + 1)));
});

test('a second `up` on the same data folder is refused by name; wrong use has its own exit codes', async () => {
  const again = await rowsmith(['up', '--port', '0', '--data', first.dataDir]);
  expect(again.code).toBe(1);
  expect(again.stderr).toContain('is in use by another `rowsmith up`');
  expect((await rowsmith(['up', '--port', 'http'])).code).toBe(2);
  expect((await rowsmith(['jobs', 'get', 'ftjob-000000000000000000000000', '--data', first.dataDir])).code).toBe(3);
  expect((await rowsmith(['jobs', 'list', '--url', 'http://127.0.0.1:9', '--api-key', 'k'])).code).toBe(4);
});
