/** One attempt by a trainer's process, as a worker starts it: the example chat file in a store, rows of every linear, a packed model. */
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { resolveJob } from '@rowsmith/core';
import { openPackedModel } from '@rowsmith/hf';
import { threadCount, trainerEnvironment } from '@rowsmith/native';
import { FsObjectStore } from '@rowsmith/storage';

const root = fileURLToPath(new URL('../../', import.meta.url));
export const builtTrainer = join(root, 'apps/trainer/dist/main.js');
const data = readFileSync(join(root, 'examples/train.jsonl'));

/** What a worker would send for these options of row_sparse. */
export async function specOf(model, { batch, ...rowSparse }) {
  const { index } = await openPackedModel(model);
  const resolved = resolveJob(
    {
      model: index.id,
      training_file: 'file-none',
      hyperparameters: { n_epochs: 1, batch_size: batch },
      row_sparse: { checkpoint_every_seconds: 3600, max_seq_length: 512, ...rowSparse },
    },
    {
      trainingExamples: 360,
      validationExamples: null,
      model: { layers: index.config.n_layers, maxPositions: index.config.max_position_embeddings, rowsOf: {} },
      randomSeed: 1,
    },
  );
  if ('fault' in resolved) throw new Error(`${resolved.fault.param}: ${resolved.fault.message}`);
  return {
    validation_data: null,
    model: index.id,
    base_sha256: index.base_sha256,
    training_data: { key: 'files/train.jsonl', sha256: createHash('sha256').update(data).digest('hex'), bytes: data.byteLength },
    seed: resolved.seed,
    hyperparameters: resolved.hyperparameters,
    row_sparse: resolved.rowSparse,
  };
}

/** Calls `hear` with each message, the child, and answers those that a worker answers. Throws with the log when the trainer fails. The store is the attempt's own: what an earlier job left there would be found. */
export async function attempt(program, model, spec, hear) {
  const store = mkdtempSync(join(tmpdir(), 'rowsmith-bench-'));
  try {
    await new FsObjectStore(store).put('files/train.jsonl', data);
    const { PATH, HOME } = process.env;
    const child = fork(program, {
      env: { PATH, HOME, ...trainerEnvironment(threadCount()) },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text;
    });
    child.on('message', (message) => hear(message, child));
    child.send({
      ...{ type: 'start', spec: { job_id: 'ftjob-bench', ...spec }, epoch: 1, storage: { driver: 'fs', root: store } },
      ...{ model_dir: model, resume_from: [] },
    });
    const code = await new Promise((ended) => child.once('exit', ended));
    if (code !== 0) throw new Error(`the trainer ended with ${code}\n${log}`);
  } finally {
    rmSync(store, { recursive: true, force: true });
  }
}
