/** Jobs on the demo model that take seconds: a few steps of one short example. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileObject, JobEvent, JobObject } from '@rowsmith/contracts';
import { projectRoot, type Running } from './installation.js';

export async function uploadText(service: Running, text: string, filename = 'data.jsonl'): Promise<Response> {
  const form = new FormData();
  form.set('purpose', 'fine-tune');
  form.set('file', new Blob([text]), filename);
  return service.request('/v1/files', { method: 'POST', body: form });
}

export async function uploadExample(service: Running, name: 'train' | 'valid', rows: number): Promise<FileObject> {
  const lines = (await readFile(join(projectRoot, `examples/${name}.jsonl`), 'utf8')).split('\n').slice(0, rows);
  const response = await uploadText(service, `${lines.join('\n')}\n`, `${name}.jsonl`);
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as FileObject;
}

export const post = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

/** `steps` steps of one example, a checkpoint after each, so that a kill always has something to go on from. */
export function shortJob(trainingFile: string, steps: number, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    model: 'smollm2-135m-instruct',
    training_file: trainingFile,
    seed: 11,
    hyperparameters: { batch_size: 1, n_epochs: 50 },
    row_sparse: { rows: 4, max_steps: steps, checkpoint_every_seconds: 0 },
    ...more,
  };
}

/** Server-sent events of a job, parsed; ends when the server ends the stream. */
export async function* liveEvents(service: Running, jobId: string, lastEventId?: string): AsyncGenerator<JobEvent & { seq: string }> {
  const response = await service.request(`/jobs/${jobId}/events`, {
    headers: { accept: 'text/event-stream', ...(lastEventId ? { 'last-event-id': lastEventId } : {}) },
  });
  if (!response.ok || !response.body) throw new Error(`events: ${response.status} ${await response.text()}`);
  let buffer = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    buffer += chunk;
    for (let end = buffer.indexOf('\n\n'); end >= 0; end = buffer.indexOf('\n\n')) {
      const block = buffer.slice(0, end);
      buffer = buffer.slice(end + 2);
      const field = (name: string) =>
        block
          .split('\n')
          .filter((line) => line.startsWith(`${name}:`))
          .map((line) => line.slice(name.length + 1).trim())
          .join('\n');
      const data = field('data');
      if (field('id') !== '' && data !== '') yield { ...(JSON.parse(data) as JobEvent), seq: field('id') };
    }
  }
}

/** Follows the events until the job is final. `on` may interfere. */
export async function finish(
  service: Running,
  jobId: string,
  on: (event: JobEvent) => Promise<void> | void = () => undefined,
): Promise<JobObject> {
  for await (const event of liveEvents(service, jobId)) await on(event);
  return service.json<JobObject>(`/jobs/${jobId}`);
}

export async function adapterSha256(service: Running, jobId: string): Promise<string> {
  const response = await service.request(`/jobs/${jobId}/adapter/adapter_model.safetensors`);
  if (!response.ok) throw new Error(`adapter: ${response.status} ${await response.text()}`);
  return createHash('sha256')
    .update(new Uint8Array(await response.arrayBuffer()))
    .digest('hex');
}
