/** The typed client against the real server; above all: live events across cut connections. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRowsmithClient, type JobProgress, listAll, RowsmithApiError } from '@rowsmith/client';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { examplesJsonl, openTestApi, type TestApi } from './testing/test-api.js';

let api: TestApi;
let folder = '';
beforeAll(async () => {
  api = await openTestApi({ listen: true, privateWebhooks: true });
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

test('progress is told as it moves; an abort of the waiting leaves the job alone', async () => {
  const file = await api.uploadExamples();
  const job = await api.createJob(file.id);
  const stop = new AbortController();
  const aborted = client().waitForJob(job.id, { signal: stop.signal, onEvent: () => stop.abort(new Error('enough')) });
  await expect(aborted).rejects.toThrow('enough');
  expect((await client().getJob(job.id)).status).toBe('queued');
  const told: JobProgress[] = [];
  const waiting = client().waitForJob(job.id, { onProgress: (progress) => told.push(progress) });
  await api.succeed(job.id, 3);
  expect((await waiting).status).toBe('succeeded');
  expect([...new Set(told.map((p) => p.step))].filter((step) => step > 0)).toEqual([1, 2, 3]);
  expect(told.at(-1)).toMatchObject({ step: 3, totalSteps: 3 });
});

test('a large file goes in parts and is the same file; its report counts it', async () => {
  const content = examplesJsonl(50);
  const path = join(folder, 'large.jsonl');
  await writeFile(path, content);
  const sent: number[] = [];
  const file = await client().uploadFile(path, { partBytes: 1000, onProgress: (bytes) => sent.push(bytes), expiresAfterSeconds: 3600 });
  expect(file).toMatchObject({ filename: 'large.jsonl', bytes: content.length, status: 'processed', expires_at: file.created_at + 3600 });
  expect(sent).toHaveLength(Math.ceil(content.length / 1000));
  expect(await new Response(await client().fileContent(file.id)).text()).toBe(content);
  expect(await client().fileReport(file.id)).toMatchObject({ file_id: file.id, examples: 50, bad_lines: 0, duplicates: 0, tokens: null });
  const kept = await client().uploadFile(new Blob(['{}\n', content]), { onInvalid: 'keep' });
  expect(kept.status).toBe('error');
  expect((await client().fileReport(kept.id)).errors[0]).toMatchObject({ line: 1 });
  const pending = await client().createUpload({ purpose: 'fine-tune', filename: 'x', bytes: 3, mime_type: 'text/plain' });
  const part = await client().addUploadPart(pending.id, new Blob(['abc']));
  expect(part.upload_id).toBe(pending.id);
  expect((await client().cancelUpload(pending.id)).status).toBe('cancelled');
  await expect(client().completeUpload(pending.id, { part_ids: [part.id] })).rejects.toMatchObject({ kind: 'invalid_request' });
});

test('a job through its states, a clone of it, and the forecast', async () => {
  const file = await api.uploadExamples();
  const body = { model: api.modelId, training_file: file.id, auto_start: false, metadata: { of: 'states' } };
  expect(await client().estimateJob(body)).toMatchObject({ object: 'fine_tuning.estimate', training_examples: 8 });
  const job = await client().createJob(body, { idempotencyKey: 'states' });
  expect((await client().createJob(body, { idempotencyKey: 'states' })).id).toBe(job.id);
  expect(job.status).toBe('paused');
  expect((await client().startJob(job.id)).status).toBe('queued');
  expect((await client().pauseJob(job.id)).status).toBe('paused');
  expect((await client().resumeJob(job.id)).status).toBe('queued');
  const clone = await client().cloneJob(job.id, { seed: 11, row_sparse: { rows: 3 } }, { idempotencyKey: 'clone' });
  expect(clone).toMatchObject({ seed: 11, row_sparse: { rows: 3 }, metadata: { of: 'states' } });
  expect((await client().listJobs({ metadata: { of: 'states' } })).data.map((j) => j.id)).toEqual([clone.id, job.id]);
  const found: string[] = [];
  for await (const { id } of listAll((page) => client().listJobs({ ...page, metadata: { of: 'states' } }), { limit: 1 })) found.push(id);
  expect(found).toEqual([clone.id, job.id]);
  await expect(client().requestCheckpoint(job.id)).rejects.toMatchObject({ code: 'job_not_running', kind: 'conflict' });
  await expect(client().deleteJob(job.id)).rejects.toMatchObject({ code: 'job_not_finished', kind: 'conflict' });
  expect((await client().cancelJob(job.id)).status).toBe('cancelled');
  await expect(client().cancelJob(job.id)).rejects.toMatchObject({ code: 'job_already_finished', kind: 'invalid_request' });
  const events = await client().listEvents(job.id, { limit: 2 });
  expect(events).toMatchObject({ has_more: true, data: [{ data: { type: 'job.cancelled' } }, {}] });
  await client().deleteJob(job.id);
  await expect(client().getJob(job.id)).rejects.toMatchObject({ code: 'job_not_found', kind: 'not_found' });
});

test('what a job leaves: CSV, event file, one file of the adapter, its model', async () => {
  const file = await api.uploadExamples();
  const job = await api.createJob(file.id);
  await expect(client().scores(job.id)).rejects.toBeInstanceOf(RowsmithApiError);
  const { peft } = await api.succeed(job.id, 2);
  const csv = await new Response(await client().metricsFile(job.id, 'csv')).text();
  expect(
    csv
      .trim()
      .split('\n')
      .map((line) => line.split(',')[0]),
  ).toEqual(['step', '1', '2']);
  const events = Buffer.from(await new Response(await client().metricsFile(job.id, 'tensorboard')).arrayBuffer());
  expect(events.includes('brain.Event:2')).toBe(true);
  const name = 'adapter_config.json';
  expect(await new Response(await client().adapterFile(job.id, name)).text()).toBe(peft.get(name));
  const model = String((await client().getJob(job.id)).fine_tuned_model);
  expect((await client().getModel(model)).id).toBe(model);
  await client().deleteModel(model);
  await expect(client().getModel(model)).rejects.toMatchObject({ kind: 'not_found' });
  await expect(client().deleteModel(api.modelId)).rejects.toMatchObject({ status: 400 });
});

test('webhook endpoints from their making to their end; workers', async () => {
  const made = await client().createWebhookEndpoint('http://127.0.0.1:9/hook', {
    description: 'first',
    events: ['fine_tuning.job.failed'],
  });
  expect(made.secret).toMatch(/^whsec_/);
  const { secret: _, ...shown } = made;
  expect(await client().getWebhookEndpoint(made.id)).toEqual(shown);
  expect((await client().listWebhookEndpoints({ limit: 1 })).data).toEqual([shown]);
  expect(await client().updateWebhookEndpoint(made.id, { enabled: false })).toEqual({ ...shown, enabled: false });
  expect((await client().rotateWebhookSecret(made.id, { overlapSeconds: 0 })).secret).toMatch(/^whsec_/);
  await client().updateWebhookEndpoint(made.id, { enabled: true });
  const delivery = await client().testWebhookEndpoint(made.id);
  expect(delivery).toMatchObject({ endpoint_id: made.id, type: 'rowsmith.webhook.test' });
  expect((await client().replayWebhookDelivery(delivery.id)).event_id).toBe(delivery.event_id);
  expect((await client().listWebhookDeliveries(made.id)).data.map((d) => d.event_id)).toContain(delivery.event_id);
  await client().deleteWebhookEndpoint(made.id);
  await expect(client().getWebhookEndpoint(made.id)).rejects.toMatchObject({ kind: 'not_found' });
  expect((await client().listWorkers()).has_more).toBe(false);
  expect(await client().wantedSlots('gpu-none')).toMatchObject({ device_class: 'gpu-none', slots: 0 });
});

test('a wrong key is told from the rest', async () => {
  const stranger = createRowsmithClient({ baseUrl: api.url, apiKey: 'wrong' });
  await expect(stranger.listModels()).rejects.toMatchObject({ kind: 'authentication', status: 401 });
});
