/** A job of four short steps on the demo model, with its data in an object store. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type JobSpec, type ObjectRef, PackedModelIndex, parseAs } from '@rowsmith/contracts';
import { cacheFolder } from '@rowsmith/native';
import { FsObjectStore } from '@rowsmith/storage';

export const modelDir = join(cacheFolder(), 'models', 'smollm2-135m-instruct');

const turn = (question: string, answer: string) => ({
  messages: [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ],
});
export const trainRows = [
  turn('One shutter in ash.', '{"item":"shutter","wood":"ash"}'),
  turn('Two trays in oak.', '{"item":"tray","wood":"oak"}'),
  turn('A box in teak.', '{"item":"box","wood":"teak"}'),
  turn('A board in elm.', '{"item":"board","wood":"elm"}'),
];
const validRows = [turn('A stool in ash.', '{"item":"stool","wood":"ash"}')];

export async function putRows(root: string, key: string, rows: readonly unknown[]): Promise<ObjectRef> {
  const text = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  await new FsObjectStore(root).put(key, text);
  return { key, sha256: createHash('sha256').update(text).digest('hex'), bytes: text.byteLength };
}

export async function smallJob(root: string): Promise<JobSpec> {
  const index = parseAs(PackedModelIndex, JSON.parse(await readFile(join(modelDir, 'index.json'), 'utf8')), 'index.json');
  return {
    job_id: 'ftjob-trainer',
    model: index.id,
    base_sha256: index.base_sha256,
    training_data: await putRows(root, 'files/train.jsonl', trainRows),
    validation_data: await putRows(root, 'files/valid.jsonl', validRows),
    seed: 7,
    hyperparameters: { n_epochs: 1, batch_size: 1, learning_rate_multiplier: 1 },
    row_sparse: {
      rows: 4,
      scorer: 'l2',
      calibration_batches: 50,
      scoring_memory_mb: 0,
      zo_estimates: 2,
      zo_splits: 1,
      zo_eps: 1e-3,
      selection: 'per_layer',
      channels: 'out',
      update_dropout: 0,
      train_biases: false,
      quantization: 'none',
      double_quantization: false,
      precision: 'f32',
      execution: 'auto',
      head_groups: false,
      heads: 0,
      reuse_rows_of: null,
      targets: ['q_proj', 'down_proj'],
      layers: [28, 29],
      learning_rate: 0.001,
      lr_schedule: 'cosine',
      warmup_ratio: 0.1,
      min_lr_ratio: 0,
      weight_decay: 0,
      max_grad_norm: 1,
      max_seq_length: 128,
      gradient_accumulation_steps: 1,
      max_steps: 4,
      eval_every_steps: 0,
      checkpoint_every_seconds: 0,
      keep_checkpoints: 6,
      train_on: 'assistant',
      packing: true,
      length_bucketing: false,
      keep_best: false,
      export: 'last',
      early_stopping_patience: 0,
      early_stopping_min_delta: 0,
      memory: 'auto',
      sample_every_evals: 0,
      sample_temperature: 0,
      sample_top_k: 0,
      sample_top_p: 1,
      warm_start_from: null,
      sample_prompts: ['A chair in oak.'],
      sample_max_tokens: 2,
    },
  };
}
