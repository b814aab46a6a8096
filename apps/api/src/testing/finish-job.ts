/** Plays a worker: takes a job through its attempt with the real stores and leaves what a trainer would leave. */

import { createHash, randomBytes } from 'node:crypto';
import type { AdapterManifest, JobId, MetricPoint } from '@rowsmith/contracts';
import { newId } from '@rowsmith/contracts';
import type { AttemptStore, ObjectStore } from '@rowsmith/core';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** train_loss is 2/step, so that every row of a result file is known. */
export const pointOf = (step: number): MetricPoint => ({
  step,
  epoch: step / 4,
  train_loss: 2 / step,
  train_mean_token_accuracy: 0.25,
  valid_loss: null,
  valid_mean_token_accuracy: null,
  learning_rate: 0.001,
  grad_norm: 1.5,
  tokens: 64,
  labelled_tokens: 32,
  seconds: 0.5,
});

/** Names and content of an adapter's files, as the trainer names them. */
export const adapterContent = {
  peft: new Map([
    ['adapter_config.json', '{"peft_type":"LORA"}'],
    ['adapter_model.safetensors', 'weights of the adapter'.repeat(50)],
    ['README.md', '# An adapter\n'],
    ['rowsmith.json', '{}\n'],
  ]),
  rows: new Map([['rows.safetensors', 'rows as trained']]),
};

export interface WorkerDeps {
  readonly attempts: AttemptStore;
  readonly objects: ObjectStore;
}

export const adapterPrefix = (jobId: string) => `jobs/${jobId}/adapter`;

async function writeAdapter(objects: ObjectStore, jobId: string) {
  const prefix = adapterPrefix(jobId);
  const files: AdapterManifest['files'] = [];
  for (const [name, content] of [...adapterContent.peft, ...adapterContent.rows]) {
    await objects.put(`${prefix}/${name}`, Buffer.from(content));
    files.push({ name, key: `${prefix}/${name}`, sha256: sha256(content), bytes: Buffer.byteLength(content) });
  }
  const manifest: AdapterManifest = {
    format: 'rowsmith-adapter/1',
    job_id: jobId,
    base_model: 'tiny-llama',
    base_sha256: 'b'.repeat(64),
    config_sha256: 'c'.repeat(64),
    data_sha256: 'd'.repeat(64),
    step: 1,
    rank: 1,
    trainable_parameters: 1,
    verification: { max_abs_error: 0, modules: 1 },
    files,
  };
  const key = `${prefix}/manifest.json`;
  const written = await objects.put(key, Buffer.from(JSON.stringify(manifest)));
  return { adapterManifestKey: key, adapterManifestSha256: written.sha256 };
}

export async function begin({ attempts }: WorkerDeps, jobId: string) {
  const attempt = await attempts.begin(jobId, newId('worker', randomBytes));
  if (attempt === 'not_runnable') throw new Error(`${jobId} cannot be run`);
  return attempt;
}

export async function succeed(deps: WorkerDeps, jobId: JobId | string, steps: number, fineTunedModel: string): Promise<void> {
  const { epoch } = await begin(deps, jobId);
  const { attempts, objects } = deps;
  await attempts.progress(jobId, epoch, { phase: 'training', totalSteps: steps }, [{ level: 'info', type: 'phase', message: 'training' }]);
  for (let step = 1; step <= steps; step++) {
    await attempts.metrics(jobId, epoch, [pointOf(step)]);
    const metrics = { step, train_loss: 2 / step };
    await attempts.checkpoint(jobId, epoch, { step, manifestKey: `jobs/${jobId}/${step}.json`, manifestSha256: 'e'.repeat(64), metrics });
  }
  const adapter = await writeAdapter(objects, jobId);
  await attempts.succeed(jobId, epoch, { step: steps, trainedTokens: 64 * steps, ...adapter, fineTunedModel });
}
