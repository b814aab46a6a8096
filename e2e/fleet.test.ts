/**
 * The topology of docker-compose.yml and infra/kubernetes, started by hand: two API processes and two workers on one Postgres, Redis and S3. What one API is
 * told the other one knows; one that is killed takes nothing with it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FileObject, JobObject } from '@rowsmith/contracts';
import { type Installation, openInstallation } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { post } from './support/jobs.js';

let folder = '';
let fleet: Installation;
let urls: readonly [string, string];
const deaths: unknown[] = [];

const lines = Array.from({ length: 24 }, (_, i) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: `count ${i}` },
      { role: 'assistant', content: `${i}, ${i + 1}` },
    ],
  }),
);
const ask = (url: string, path: string, init: RequestInit = {}) =>
  fetch(`${url}${path}`, { ...init, headers: { authorization: `Bearer ${fleet.key}`, ...init.headers } });
async function json<T>(url: string, path: string, init: RequestInit = {}): Promise<T> {
  const response = await ask(url, path, init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}
async function ready(url: string): Promise<void> {
  for (;;) {
    if (
      await fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return;
    await new Promise((next) => setTimeout(next, 100));
  }
}
async function finished(url: string, id: string): Promise<JobObject> {
  for (;;) {
    const job = await json<JobObject>(url, `/jobs/${id}`);
    if (['succeeded', 'failed', 'cancelled'].includes(job.status)) return job;
    await new Promise((next) => setTimeout(next, 100));
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-fleet-'));
  fleet = await openInstallation(folder, {
    ...{ queue: 'redis', storage: 's3', smallDisk: false, fakeTime: null, workers: 2, apis: 2 },
    onDeath: (violation) => deaths.push(violation),
  });
  urls = [fleet.url, fleet.moreApis[0]?.url ?? ''];
  await Promise.all(urls.map(ready));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('a file given to one API is trained on by jobs given to the other, on both workers; the API that is watched may be killed', async () => {
  const [first, second] = urls;
  const form = new FormData();
  form.set('purpose', 'fine-tune');
  form.set('file', new Blob([`${lines.join('\n')}\n`]), 'rows.jsonl');
  const file = await json<FileObject>(first, '/v1/files', { method: 'POST', body: form });
  const body = {
    ...{ model: 'tiny', training_file: file.id, seed: 5, hyperparameters: { batch_size: 1, n_epochs: 20 } },
    row_sparse: { rows: 3, max_steps: 60, learning_rate: 0.01, checkpoint_every_seconds: 0 },
  };
  const once = { ...post(body), headers: { 'content-type': 'application/json', 'idempotency-key': 'fleet-1' } };
  const [job, again] = await Promise.all(urls.map((url) => json<JobObject>(url, '/v1/fine_tuning/jobs', once)));
  expect(again?.id).toBe(job?.id);
  const other = await json<JobObject>(second, '/jobs', post(body));

  // One is followed at the first API, until that dies in the middle.
  const stream = await ask(first, `/jobs/${other.id}/events`, { headers: { accept: 'text/event-stream' } });
  expect(stream.headers.get('content-type')).toContain('text/event-stream');
  await stream.body?.getReader().read();
  fleet.api.hit('SIGKILL');
  const ended = await Promise.all([job?.id ?? '', other.id].map((id) => finished(second, id)));
  expect(ended.map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);

  await ready(first);
  const [hashes, sameHashes] = await Promise.all(
    urls.map((url) =>
      Promise.all(ended.map(({ id }) => ask(url, `/jobs/${id}/adapter/adapter_model.safetensors`).then((r) => r.headers.get('etag')))),
    ),
  );
  expect(sameHashes).toEqual(hashes);
  // The same job twice, most likely on different workers: the same bytes.
  expect(hashes?.[0]).toBe(hashes?.[1]);
  const { data } = await json<{ data: { id: string }[] }>(first, '/v1/fleet/workers');
  expect(data.map(({ id }) => id).sort()).toEqual(fleet.workers.map(({ id }) => id).sort());
});

test('every process ends in order and leaves nothing behind', async () => {
  expect(await fleet.stop()).toEqual([]);
  expect(deaths).toEqual([]);
});
