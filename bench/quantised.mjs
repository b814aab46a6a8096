/**
 * Training on a quantised base against training on the base as it is: the same rows, the same real text, one process each.
 *   node bench/quantised.mjs <model folder> <text file> [--batch 1] [--length 256] [--rows 16] [--steps 20] [--rounds 1]
 * Prints a table: loss of the base on the text and after the steps (mean over the whole text), start, steps per second, processor seconds a step (steadier
 * on a busy machine), and memory of the process after the last step: anonymous (its own), file-backed (page cache, shared by all jobs on the machine), and the peak of both together.
 * Needs a build (`npm run build`) and the native parts (`npm run setup`).
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openEngine, planRows, quantizationOf, train } from '@rowsmith/engine';
import { loadTokenizer, openPackedModel } from '@rowsmith/hf';
import { commandLine } from '../scripts/command-line.mjs';

const { positionals, values } = commandLine(import.meta.url, {
  names: ['<model folder>', '<text file>'],
  options: {
    batch: { type: 'string', default: '1' },
    length: { type: 'string', default: '256' },
    rows: { type: 'string', default: '16' },
    steps: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '1' },
    only: { type: 'string' },
  },
});
const [folder, textFile] = positionals;
const [batch, length, rows, steps, rounds] = [values.batch, values.length, values.rows, values.steps, values.rounds].map(Number);

const kinds = {
  f32: { quantization: 'none', double_quantization: false },
  bf16: { quantization: 'bf16', double_quantization: false },
  int8: { quantization: 'int8', double_quantization: false },
  nf4: { quantization: 'nf4', double_quantization: false },
  nf4_double: { quantization: 'nf4', double_quantization: true },
  'f32, bf16 products': { quantization: 'none', double_quantization: false, precision: 'bf16' },
  'bf16, bf16 products': { quantization: 'bf16', double_quantization: false, precision: 'bf16' },
};

if (values.only) console.log(JSON.stringify(await measure(kinds[values.only])));
else {
  const results = Object.fromEntries(Object.keys(kinds).map((name) => [name, []]));
  // In turn, so that a busy minute of the machine does not fall on one kind alone.
  for (let round = 0; round < rounds; round++)
    for (const name of Object.keys(kinds)) {
      const script = [fileURLToPath(import.meta.url), ...process.argv.slice(2), '--only', name];
      results[name].push(JSON.parse(execFileSync(process.execPath, script, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })));
    }
  const middle = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
  const median = (name, field) => middle(results[name].map((result) => result[field]));
  const mib = (name, field) => Math.round(median(name, field) / 1024);
  console.log(
    '| base | loss before | after | start, s | steps/s | processor s/step | of f32 | anonymous, MiB | file-backed, MiB | peak RSS, MiB | of f32 |',
  );
  console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
  for (const name of Object.keys(kinds)) {
    const ratio = (field) => (median(name, field) / median('f32', field)).toFixed(2);
    const cells = [
      ...[name, median(name, 'before').toFixed(4), median(name, 'after').toFixed(4), median(name, 'startSeconds').toFixed(1)],
      ...[
        median(name, 'stepsPerSecond').toFixed(3),
        median(name, 'processorSeconds').toFixed(2),
        ratio('processorSeconds'),
        mib(name, 'anonymousKib'),
        mib(name, 'fileKib'),
      ],
      ...[mib(name, 'peakKib'), ratio('peakKib')],
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

async function measure(kind) {
  const packed = await openPackedModel(folder);
  const tokenizer = await loadTokenizer(folder);
  const all = (await tokenizer.encode(readFileSync(textFile, 'utf8'))).ids;
  const count = Math.min(steps * batch, Math.floor(all.length / length));
  const examples = Array.from({ length: count }, (_, i) => {
    const ids = all.slice(i * length, (i + 1) * length);
    return { ids, labels: ids };
  });
  const engine = await openEngine({ precision: kind.precision ?? 'f32' });
  const started = performance.now();
  const model = await engine.loadModel(packed, { quantization: quantizationOf(kind) });
  const startSeconds = (performance.now() - started) / 1000;
  const rowSparse = {
    ...kind,
    ...{
      rows,
      scorer: 'l2',
      selection: 'per_layer',
      channels: 'out',
      update_dropout: 0,
      train_biases: false,
      head_groups: false,
      heads: 0,
    },
    ...{
      targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
      layers: [0, packed.index.config.n_layers - 1],
    },
    ...{
      learning_rate: 1e-3,
      lr_schedule: 'constant',
      warmup_ratio: 0,
      min_lr_ratio: 0,
      weight_decay: 0,
      max_grad_norm: 1,
      max_seq_length: length,
    },
    ...{ gradient_accumulation_steps: 1, max_steps: steps, eval_every_steps: 0, checkpoint_every_seconds: 86400, keep_checkpoints: 1 },
    ...{ train_on: 'all', packing: false, length_bucketing: false, keep_best: false, export: 'last', memory: 'fast' },
    ...{ early_stopping_patience: 0, early_stopping_min_delta: 0, sample_every_evals: 0, warm_start_from: null, reuse_rows_of: null },
    ...{ sample_prompts: [], sample_max_tokens: 1 },
  };
  const meanLoss = () => {
    let [sum, labelled] = [0, 0];
    for (const { ids } of examples) {
      const part = model.loss({ size: 1, length, ids, labels: ids });
      sum += part.lossSum;
      labelled += part.labelled;
    }
    return sum / labelled;
  };
  const before = meanLoss();
  const seconds = [];
  const processor = [];
  let used = 0;
  let result;
  const input = {
    ...{ engine, model, plan: planRows(engine, model, rowSparse, 1), trainExamples: examples, validExamples: [], seed: 1 },
    ...{ hyperparameters: { n_epochs: 1, batch_size: batch, learning_rate_multiplier: 1 }, rowSparse, clock: () => performance.now() },
  };
  for await (const event of train(input)) {
    if (event.type === 'step') {
      const { user, system } = process.cpuUsage();
      seconds.push(event.point.seconds);
      processor.push((user + system - used) / 1e6);
      used = user + system;
    }
    if (event.type === 'done') {
      const status = readFileSync('/proc/self/status', 'utf8');
      const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
      // The first step also makes what later steps reuse.
      const steady = (list) => list.slice(1).sort((a, b) => a - b)[(list.length - 1) >> 1];
      result = {
        ...{ before, after: meanLoss(), startSeconds, stepsPerSecond: 1 / steady(seconds), processorSeconds: steady(processor) },
        ...{ anonymousKib: kib('RssAnon'), fileKib: kib('RssFile'), peakKib: kib('VmHWM') },
      };
    }
  }
  return result;
}
