/**
 * Our side of the comparison: whole training steps (forward, loss, backward, clip, optimiser, write-back) on a packed model.
 *   node bench/engine-train.mjs <model folder> --examples FILE [--batch 4] [--rows 32] [--steps 4] [--warmup 1] [--memory fast|low] [--option key=value]...
 *     [--record FILE] [--precision f32|bf16] [--layers N]
 * Examples: a JSON list of {ids, labels}. `--record` writes the batches that were trained on, in order, for the peer. `--layers` cuts the model
 * to its first layers. Memory counts the whole process. Prints one JSON object.
 * Needs `npm run build` and `npm run setup`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { exportPeft } from '@rowsmith/adapter';
import { resolveJob } from '@rowsmith/core';
import { estimateMemory, openEngine, planRows, quantizationOf, rowTensors, train } from '@rowsmith/engine';
import { openPackedModel } from '@rowsmith/hf';
import { timedPhases } from './compare/timed-phases.mjs';
import { commandLine } from '../scripts/command-line.mjs';

const began = performance.now() - process.uptime() * 1000;
const since = () => (performance.now() - began) / 1000;
const start = { modules: since() };
const { positionals, values, wrongUse } = commandLine(import.meta.url, {
  names: ['<model folder>'],
  options: {
    batch: { type: 'string', default: '4' },
    rows: { type: 'string', default: '32' },
    steps: { type: 'string', default: '4' },
    warmup: { type: 'string', default: '1' },
    memory: { type: 'string', default: 'fast' },
    option: { type: 'string', multiple: true, default: [] },
    examples: { type: 'string' },
    record: { type: 'string' },
    precision: { type: 'string', default: 'f32' },
    layers: { type: 'string' },
  },
});
const [folder] = positionals;
if (!values.examples) wrongUse('--examples is missing');
const [batch, rows, steps, warmup] = [values.batch, values.rows, values.steps, values.warmup].map(Number);

const whole = await openPackedModel(folder);
const config = values.layers ? { ...whole.index.config, n_layers: Number(values.layers) } : whole.index.config;
const packed = { ...whole, index: { ...whole.index, config } };
const examples = JSON.parse(readFileSync(values.examples, 'utf8')).map(({ ids, labels }) => ({
  ids: Int32Array.from(ids),
  labels: Int32Array.from(labels),
}));
const parsed = (text) => (/^-?[\d.]+$|^(true|false|null)$/.test(text) ? JSON.parse(text) : text);
const options = Object.fromEntries(values.option.map((pair) => pair.split('=')).map(([key, value]) => [key, parsed(value)]));
const resolved = resolveJob(
  {
    model: packed.index.id,
    training_file: 'file-none',
    hyperparameters: { n_epochs: 50, batch_size: batch },
    row_sparse: {
      ...{ rows, max_steps: warmup + steps, memory: values.memory, learning_rate: 1e-4 },
      max_seq_length: Math.max(...examples.map(({ ids }) => ids.length)),
      ...options,
    },
  },
  {
    trainingExamples: examples.length,
    validationExamples: null,
    model: { layers: config.n_layers, maxPositions: config.max_position_embeddings, rowsOf: {} },
    randomSeed: 1,
  },
);
if ('fault' in resolved) throw new Error(`${resolved.fault.param}: ${resolved.fault.message}`);
const { hyperparameters, rowSparse, seed } = resolved;
start.data = since();
const engine = await openEngine({ precision: values.precision });
start.tensorflow = since();
const runtimeBytes = process.memoryUsage.rss();
const model = await engine.loadModel(packed, {
  ...{ rowTensors: rowTensors(config, rowSparse), quantization: quantizationOf(rowSparse), memory: values.memory },
});
start.model = since();
const plan = planRows(engine, model, rowSparse, seed);
start.rows = since();

const batches = [];
const phases = timedPhases(engine, model, ({ lengths, length, size, ids, labels }) => {
  const counts = lengths ?? Array(size).fill(length);
  let at = 0;
  const rowsOf = (count) => {
    at += count;
    return { ids: [...ids.subarray(at - count, at)], labels: [...labels.subarray(at - count, at)] };
  };
  batches.push(Array.from(counts, rowsOf));
});
const seconds = [];
const losses = [];
const sum = { labelled: 0, tokens: 0 };
let delta;
const input = { engine, model, plan, trainExamples: examples, validExamples: [], seed, hyperparameters, rowSparse };
for await (const event of train({ ...input, clock: () => performance.now() })) {
  if (event.type === 'done') delta = event.delta;
  if (event.type !== 'step') continue;
  start.first_step ??= since();
  losses.push(event.point.train_loss);
  phases.endStep(event.point.seconds);
  if (event.point.step <= warmup) continue;
  seconds.push(event.point.seconds);
  sum.labelled += event.point.labelled_tokens;
  sum.tokens += event.point.tokens;
}
if (values.record) writeFileSync(values.record, JSON.stringify(batches));
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
// Before the adapter is made here in one piece, which a trainer never does.
const peakKib = process.resourceUsage().maxRSS;
const adapter = exportPeft(delta, { baseModel: 'base', revision: null, baseSha256: '0'.repeat(64), modelLayers: config.n_layers });
const sizeOf = (rowsOfBatch) => rowsOfBatch.reduce((count, { ids }) => count + ids.length, 0);
const trainable = [...delta.values()].reduce((total, { delta: d, columnDelta }) => total + d.length + (columnDelta?.length ?? 0), 0);
const largest = batches.reduce((a, b) => (sizeOf(b) > sizeOf(a) ? b : a));
const estimate = estimateMemory({
  ...{ config, rowSparse, memory: values.memory, operators: engine.operators.kind, runtimeBytes },
  ...{ tokens: sizeOf(largest), length: rowSparse.packing ? sizeOf(largest) : Math.max(...largest.map(({ ids }) => ids.length)) },
  labelled: largest.reduce((count, { labels }) => count + labels.slice(1).filter((label) => label !== -100).length, 0),
});
console.log(
  JSON.stringify({
    operators: engine.operators.kind,
    step_seconds: seconds,
    tokens_per_second: sum.tokens / seconds.length / median(seconds),
    labelled_per_second: sum.labelled / seconds.reduce((a, b) => a + b, 0),
    padding: 1,
    split: phases.medians(warmup),
    peak_rss_mb: peakKib / 1024,
    anonymous_mb: phases.peak().anonymous,
    file_mb: phases.peak().file,
    estimate_mb: estimate.total / 2 ** 20,
    start_to_first_step_seconds: start.first_step,
    start,
    trainable,
    adapter_mb: (trainable * 4) / 2 ** 20,
    peft_adapter_mb: adapter.files.get('adapter_model.safetensors').length / 2 ** 20,
    losses,
  }),
);
