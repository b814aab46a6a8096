/**
 * Our side of the comparison: whole training steps (forward, loss, backward, clip, optimiser, write-back) on a packed model, random tokens, every label counts.
 *   node bench/engine-train.mjs <model folder> [--batch 4] [--length 256] [--rows 32] [--steps 4] [--warmup 1] [--memory fast|low] [--tokens FILE]
 * Tokens: [N, B, T] int32 little-endian, as compare.mjs writes them for both sides. Prints one JSON object. Needs `npm run build` and `npm run setup`.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { exportPeft } from '@rowsmith/adapter';
import { resolveJob } from '@rowsmith/core';
import { openEngine, planRows, rowTensors, train } from '@rowsmith/engine';
import { openPackedModel } from '@rowsmith/hf';

const began = performance.now() - process.uptime() * 1000;
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    batch: { type: 'string', default: '4' },
    length: { type: 'string', default: '256' },
    rows: { type: 'string', default: '32' },
    steps: { type: 'string', default: '4' },
    warmup: { type: 'string', default: '1' },
    memory: { type: 'string', default: 'fast' },
    channels: { type: 'string', default: 'out' },
    tokens: { type: 'string' },
  },
});
const [folder] = positionals;
if (!folder || !values.tokens) throw new Error('usage: engine-train.mjs <model folder> --tokens FILE');
const [batch, length, rows, steps, warmup] = [values.batch, values.length, values.rows, values.steps, values.warmup].map(Number);

const packed = await openPackedModel(folder);
const { config } = packed.index;
const tokens = new Int32Array(new Uint8Array(readFileSync(values.tokens)).buffer);
const examples = Array.from({ length: Math.floor(tokens.length / length) }, (_, i) => {
  const ids = tokens.slice(i * length, (i + 1) * length);
  return { ids, labels: ids };
});
const total = warmup + steps;
const resolved = resolveJob(
  {
    model: packed.index.id,
    training_file: 'file-none',
    hyperparameters: { n_epochs: 50, batch_size: batch },
    row_sparse: { rows, max_steps: total, max_seq_length: length, memory: values.memory, channels: values.channels, learning_rate: 1e-4 },
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
const engine = await openEngine();
const model = await engine.loadModel(packed, { rowTensors: rowTensors(config, rowSparse), memory: values.memory });
const plan = planRows(engine, model, rowSparse, seed);

/** MiB of this process's memory now. */
function memoryNow() {
  const status = readFileSync('/proc/self/status', 'utf8');
  const of = (name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1024;
  return { anonymous: of('RssAnon'), file: of('RssFile') };
}
const seconds = [];
const losses = [];
let firstStep;
let memory = { anonymous: 0, file: 0 };
let delta;
let last = performance.now();
const input = { engine, model, plan, trainExamples: examples, validExamples: [], seed, hyperparameters, rowSparse };
for await (const event of train({ ...input, clock: () => performance.now() })) {
  if (event.type === 'done') delta = event.delta;
  if (event.type !== 'step') continue;
  const now = performance.now();
  firstStep ??= (now - began) / 1000;
  if (event.point.step > warmup) seconds.push((now - last) / 1000);
  losses.push(event.point.train_loss);
  const seen = memoryNow();
  memory = { anonymous: Math.max(memory.anonymous, seen.anonymous), file: Math.max(memory.file, seen.file) };
  last = performance.now();
}
const median = [...seconds].sort((a, b) => a - b)[seconds.length >> 1];
const adapter = exportPeft(delta, { baseModel: 'base', revision: null, baseSha256: '0'.repeat(64), modelLayers: config.n_layers });
const trainable = [...delta.values()].reduce((sum, { delta: d, columnDelta }) => sum + d.length + (columnDelta?.length ?? 0), 0);
console.log(
  JSON.stringify({
    operators: engine.operators.kind,
    tokens_per_second: (batch * length) / median,
    best_tokens_per_second: (batch * length) / Math.min(...seconds),
    peak_rss_mb: process.resourceUsage().maxRSS / 1024,
    anonymous_mb: memory.anonymous,
    file_mb: memory.file,
    start_to_first_step_seconds: firstStep,
    trainable,
    row_delta_mb: (trainable * 4) / 2 ** 20,
    peft_adapter_mb: adapter.files.get('adapter_model.safetensors').length / 2 ** 20,
    losses,
  }),
);
