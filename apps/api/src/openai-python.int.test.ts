/** The unmodified `openai` package of PyPI drives the server through e2e/openai_python.py; the test plays the worker. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pythonWith } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { examplesJsonl, openTestApi, type TestApi } from './testing/test-api.js';

const script = new URL('../../../e2e/openai_python.py', import.meta.url).pathname;
let api: TestApi;
let python = '';
let folder = '';
beforeAll(async () => {
  python = await pythonWith(['openai==3.54.0']);
  api = await openTestApi({ listen: true, privateWebhooks: true });
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-python-'));
}, 300_000);
afterAll(async () => {
  await api.close();
  await rm(folder, { recursive: true });
});

test('the Python SDK: files, uploads, the documented loop, webhooks, pagination, what is refused, error classes', async () => {
  const rows = join(folder, 'rows.jsonl');
  await writeFile(rows, examplesJsonl(40));
  const child = spawn(python, [script, api.modelId, rows], {
    env: { PATH: process.env['PATH'], OPENAI_BASE_URL: `${api.url}/v1`, OPENAI_API_KEY: api.key },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<number | null>((done) => child.once('close', done));
  const passed: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const { job, ok } = JSON.parse(line) as { job?: string; ok?: string };
    if (job !== undefined) await api.succeed(job, 3);
    if (ok !== undefined) passed.push(ok);
  }
  expect({ stderr, exit: await ended }).toEqual({ stderr: '', exit: 0 });
  expect(passed).toEqual(['files', 'uploads', 'jobs', 'states', 'refused', 'errors']);
}, 120_000);
