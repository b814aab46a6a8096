/** The typed client against the real server; above all: live events across cut connections. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRowsmithClient, RowsmithApiError } from '@rowsmith/client';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { examplesJsonl, openTestApi, type TestApi } from './testing/test-api.js';

let api: TestApi;
let folder = '';
beforeAll(async () => {
  api = await openTestApi({ listen: true });
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-client-'));
});
afterAll(async () => {
  await api.close();
  await rm(folder, { recursive: true });
});
const client = (fetch = globalThis.fetch) => createRowsmithClient({ baseUrl: api.url, apiKey: api.key, fetch });

/** A network that cuts every event stream after a few frames, in the middle of the next one; counts the cuts. */
function cuttingFetch(framesEach: number) {
  const cuts = { count: 0 };
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const response = await globalThis.fetch(input, init);
    if (!response.headers.get('content-type')?.startsWith('text/event-stream') || response.body === null) return response;
    let frames = 0;
    const cut = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        const text = Buffer.from(chunk).toString('latin1');
        let from = 0;
        for (let at = text.indexOf('\n\n'); at >= 0; at = text.indexOf('\n\n', at + 2)) {
          frames += 1;
          from = at + 2;
          if (frames > framesEach) {
            cuts.count += 1;
            controller.enqueue(chunk.slice(0, Math.min(from + 5, chunk.length)));
            controller.error(new Error('connection cut'));
            return;
          }
        }
        controller.enqueue(chunk);
      },
    });
    return new Response(response.body.pipeThrough(cut), response);
  };
  return { fetch, cuts };
}

test('fifty cut connections lose no event and repeat none', async () => {
  const file = await api.uploadExamples();
  const job = await api.createJob(file.id);
  const { fetch, cuts } = cuttingFetch(3);
  const received: string[] = [];
  const watching = (async () => {
    for await (const event of client(fetch).streamEvents(job.id)) received.push(event.id);
  })();
  await api.succeed(job.id, 150);
  await watching;
  expect(cuts.count).toBeGreaterThanOrEqual(50);
  expect(received).toEqual(await api.eventIds(job.id));
});

test('waitForJob resolves to the finished job', async () => {
  const file = await api.uploadExamples();
  const job = await client().createJob({ model: api.modelId, training_file: file.id });
  const types: unknown[] = [];
  const waiting = client().waitForJob(job.id, { onEvent: (event) => types.push(event.data['type']) });
  await api.succeed(job.id, 2);
  const done = await waiting;
  expect(done).toMatchObject({ id: job.id, status: 'succeeded', progress: { step: 2, total_steps: 2 } });
  expect(done.result_files).toHaveLength(1);
  expect(types.at(0)).toBe('job.created');
  expect(types.at(-1)).toBe('job.succeeded');
  expect((await client().metrics(job.id)).map((p) => p.step)).toEqual([1, 2]);
  expect((await client().checkpoints(job.id)).data.map((c) => c.step_number)).toEqual([2, 1]);
});

test('a refusal ends the stream at once; an abort ends it with its reason', async () => {
  const next = client().streamEvents('ftjob-none').next();
  await expect(next).rejects.toThrow(RowsmithApiError);
  await expect(next).rejects.toMatchObject({ status: 404, code: 'job_not_found' });
  const file = await api.uploadExamples();
  const job = await api.createJob(file.id);
  const stop = new AbortController();
  const stream = client().streamEvents(job.id, { signal: stop.signal });
  await stream.next();
  stop.abort(new Error('enough'));
  await expect(
    (async () => {
      for await (const _ of stream);
    })(),
  ).rejects.toThrow('enough');
});

test('uploads from a path and from a Blob are the same file', async () => {
  const path = join(folder, 'rows.jsonl');
  await writeFile(path, examplesJsonl(20));
  const fromPath = await client().uploadFile(path);
  const fromBlob = await client().uploadFile(new Blob([examplesJsonl(20)]), { filename: 'rows.jsonl' });
  expect({ ...fromPath, id: '', created_at: 0 }).toEqual({ ...fromBlob, id: '', created_at: 0 });
  expect(fromPath.filename).toBe('rows.jsonl');
  expect(await new Response(await client().fileContent(fromPath.id)).text()).toBe(examplesJsonl(20));
  await client().deleteFile(fromPath.id);
  await expect(client().getFile(fromPath.id)).rejects.toMatchObject({ status: 404 });
  await expect(client().uploadFile(join(folder, 'not-there.jsonl'))).rejects.toThrow(/not-there/);
});

test('the adapter comes as a tar of the files its manifest lists', async () => {
  const file = await api.uploadExamples();
  const job = await api.createJob(file.id);
  await expect(client().downloadAdapter(job.id)).rejects.toMatchObject({ status: 409, code: 'adapter_not_ready' });
  const files = await api.succeed(job.id, 1);
  const unpack = extract();
  const bytes = Buffer.from(await new Response(await client().downloadAdapter(job.id)).arrayBuffer());
  unpack.end(bytes);
  const found = new Map<string, string>();
  for await (const entry of unpack) {
    const parts: Uint8Array[] = [];
    for await (const chunk of entry) parts.push(chunk as Uint8Array);
    found.set(entry.header.name, Buffer.concat(parts).toString());
    expect(entry.header.mtime?.getTime()).toBe(0);
  }
  expect(found).toEqual(files.peft);
  expect(Buffer.from(await new Response(await client().downloadAdapter(job.id)).arrayBuffer()).equals(bytes)).toBe(true);
});

test('models and lists', async () => {
  expect((await client().listModels()).data.map((m) => m.id)).toContain(api.modelId);
  const jobs = await client().listJobs({ limit: 1 });
  expect(jobs.data).toHaveLength(1);
  expect(jobs.has_more).toBe(true);
});
