/**
 * From the start of the trainer's process to its first step, phase by phase, as a worker starts it: a chat file in a store, rows of every linear, a packed model.
 *   node bench/startup.mjs [--rounds 5] [--batch 4] [--scorer l2] [--rows 32]
 * Prints the median and the best second at which the first step began and had ended, then that of each message, then how long steps took. `--program` names the
 * main.js of another build, to be measured in turn with this one. Needs `npm run build` and `npm run setup`.
 */
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { resolveJob } from '@rowsmith/core';
import { openPackedModel } from '@rowsmith/hf';
import { cacheFolder, threadCount, trainerEnvironment } from '@rowsmith/native';
import { FsObjectStore } from '@rowsmith/storage';
import { commandLine } from '../scripts/command-line.mjs';

const { values } = commandLine(import.meta.url, {
  options: {
    rounds: { type: 'string', default: '5' },
    batch: { type: 'string', default: '4' },
    rows: { type: 'string', default: '32' },
    scorer: { type: 'string', default: 'l2' },
    program: { type: 'string', multiple: true, default: [] },
    model: { type: 'string', default: join(cacheFolder(), 'models', 'smollm2-135m-instruct') },
  },
});
const here = fileURLToPath(new URL('.', import.meta.url));
const programs = [join(here, '../apps/trainer/dist/main.js'), ...values.program];
const data = readFileSync(join(here, '../examples/train.jsonl'));
const { index } = await openPackedModel(values.model);
const resolved = resolveJob(
  {
    model: index.id,
    training_file: 'file-none',
    hyperparameters: { n_epochs: 1, batch_size: Number(values.batch) },
    row_sparse: { rows: Number(values.rows), scorer: values.scorer, max_steps: 3, checkpoint_every_seconds: 3600, max_seq_length: 512 },
  },
  {
    trainingExamples: 360,
    validationExamples: null,
    model: { layers: index.config.n_layers, maxPositions: index.config.max_position_embeddings, rowsOf: {} },
    randomSeed: 1,
  },
);
if ('fault' in resolved) throw new Error(`${resolved.fault.param}: ${resolved.fault.message}`);

/** [what, seconds since the process was started, of the processor][], and the seconds of its steps. */
async function attempt(program, root, epoch) {
  const began = performance.now();
  const marks = [];
  const steps = [];
  // utime and stime; on a busy machine they say more than the clock about what is done by one thread.
  const processor = () => {
    const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  };
  const mark = (what) => marks.push([what, (performance.now() - began) / 1000, processor()]);
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
  child.on('message', (message) => {
    if (message.type === 'phase') mark(`${message.phase} begins`);
    if (message.type === 'planned') mark('rows chosen');
    if (message.type !== 'metric' || message.point.train_loss === null) return;
    steps.push(message.point.seconds);
    if (message.point.step === 1) mark('first step done');
  });
  const { row_sparse, hyperparameters, seed } = { row_sparse: resolved.rowSparse, ...resolved };
  const training_data = { key: 'files/train.jsonl', sha256: createHash('sha256').update(data).digest('hex'), bytes: data.byteLength };
  const spec = {
    validation_data: null,
    job_id: `ftjob-startup${epoch}`,
    model: index.id,
    base_sha256: index.base_sha256,
    training_data,
    seed,
    hyperparameters,
    row_sparse,
  };
  child.send({ type: 'start', spec, epoch, storage: { driver: 'fs', root }, model_dir: values.model, resume_from: [] });
  const code = await new Promise((ended) => child.once('exit', ended));
  if (code !== 0) throw new Error(`the trainer ended with ${code}\n${log}`);
  return { marks, steps };
}

const rounds = [];
for (let round = 0; round < Number(values.rounds); round++) {
  const results = [];
  for (const program of programs) {
    // A store of its own each time: scores and selections of an earlier job would be found.
    const root = mkdtempSync(join(tmpdir(), 'rowsmith-startup-'));
    try {
      await new FsObjectStore(root).put('files/train.jsonl', data);
      results.push(await attempt(program, root, round + 1));
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  }
  rounds.push(results);
}
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const row = (what, times, used) =>
  console.log(`| ${what} | ${median(times).toFixed(2)} | ${Math.min(...times).toFixed(2)} | ${used ? median(used).toFixed(2) : ''} |`);
const load = loadavg().map((value) => value.toFixed(1));
console.log(`load ${load.join(', ')}; ${rounds.length} rounds; batch ${values.batch}, scorer ${values.scorer}, rows ${values.rows}`);
for (const [side, program] of programs.entries()) {
  const runs = rounds.map((results) => results[side]);
  if (programs.length > 1) console.log(`\n${program}`);
  console.log('| | median, s | best, s | processor, s |\n| --- | --- | --- | --- |');
  const done = runs.map(({ marks }) => marks.find(([what]) => what === 'first step done'));
  row(
    '**until the first step begins**',
    done.map(([, seconds], i) => seconds - runs[i].steps[0]),
    runs.map(({ marks }) => marks.find(([what]) => what === 'training begins')[2]),
  );
  row(
    '**until the first step has ended**',
    done.map(([, seconds]) => seconds),
    done.map(([, , used]) => used),
  );
  for (const [i, [what]] of runs[0].marks.entries()) {
    row(
      what,
      runs.map(({ marks }) => marks[i][1]),
      runs.map(({ marks }) => marks[i][2]),
    );
  }
  for (const [i, name] of ['first step alone', 'second step', 'third step'].entries())
    row(
      name,
      runs.map(({ steps }) => steps[i]),
    );
}
