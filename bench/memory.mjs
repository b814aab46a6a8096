/**
 * Estimated memory of training beside the measured peak, each in a process of its own.
 *   node bench/memory.mjs <folder of a packed model> [more folders]
 * Without a folder only the tiny model of the tests is measured. Needs a build (`npm run build`) and the native parts (`npm run setup`).
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { estimateMemory } from '@rowsmith/engine';
import { trainerEnvironment } from '@rowsmith/native';
import { addTinyModel } from '@rowsmith/testkit';
import { commandLine } from '../scripts/command-line.mjs';

const { positionals } = commandLine(import.meta.url, { more: true });
const child = new URL('./memory-child.mjs', import.meta.url).pathname;
const mib = (bytes) => Math.round(bytes / 2 ** 20);
/** What else decides how the base is held. */
const changes = [
  { quantization: 'bf16' },
  { quantization: 'int8' },
  { quantization: 'nf4' },
  { precision: 'bf16' },
  { channels: 'in' },
  { channels: 'both' },
  { channels: 'coupled' },
];
const targets = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];

function configurationOf({ n_layers }, rows) {
  const choice = {
    rows,
    scorer: 'l2',
    targets,
    layers: [0, n_layers - 1],
    selection: 'per_layer',
    head_groups: false,
    heads: 0,
    reuse_rows_of: null,
  };
  const rate = { learning_rate: 1e-3, lr_schedule: 'constant', warmup_ratio: 0, min_lr_ratio: 0, weight_decay: 0, max_grad_norm: 1 };
  const loop = {
    gradient_accumulation_steps: 1,
    max_steps: 3,
    eval_every_steps: 0,
    packing: true,
    length_bucketing: false,
    keep_best: false,
  };
  return {
    ...choice,
    ...rate,
    ...loop,
    channels: 'out',
    quantization: 'none',
    double_quantization: false,
    precision: 'f32',
    execution: 'auto',
    early_stopping_patience: 0,
    early_stopping_min_delta: 0,
  };
}

async function compare(folder, name, batch, length, rows, memory, change = {}) {
  const { config } = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8'));
  const rowSparse = { ...configurationOf(config, rows), ...change };
  const argument = JSON.stringify({ folder, batch, length, memory, rowSparse });
  const env = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    ROWSMITH_CACHE: process.env.ROWSMITH_CACHE,
    ROWSMITH_KERNELS: process.env.ROWSMITH_KERNELS,
  };
  const known = Object.fromEntries(Object.entries({ ...env, ...trainerEnvironment(2) }).filter(([, value]) => value !== undefined));
  const { stdout } = await promisify(execFile)(process.execPath, [child, argument], { env: known });
  const { runtimeBytes, peakBytes, operators } = JSON.parse(stdout.trim().split('\n').at(-1));
  const estimate = estimateMemory({
    config,
    rowSparse,
    memory,
    tokens: batch * length,
    length: batch * length,
    labelled: batch * (length - 1),
    operators,
    runtimeBytes,
  });
  const parts = Object.fromEntries(Object.entries(estimate).map(([part, bytes]) => [part, mib(bytes)]));
  const off = (100 * (estimate.total / peakBytes - 1)).toFixed(1);
  console.log(
    `${name} ${batch}x${length} rows ${rows} ${memory}${Object.values(change)
      .map((value) => ` ${value}`)
      .join('')} (${operators}): peak ${mib(peakBytes)} MiB, estimate ${mib(estimate.total)} MiB (${off} %)`,
    JSON.stringify(parts),
  );
}

const store = await mkdtemp(join(tmpdir(), 'rowsmith-memory-'));
try {
  await addTinyModel(store);
  for (const memory of ['fast', 'low']) await compare(join(store, 'tiny'), 'tiny', 4, 64, 4, memory);
  for (const folder of positionals) {
    const name = folder.split('/').at(-1);
    for (const [batch, length, rows] of [
      [4, 256, 32],
      [1, 512, 32],
      [4, 512, 128],
    ])
      for (const memory of ['fast', 'low']) await compare(folder, name, batch, length, rows, memory);
    for (const change of changes) for (const memory of ['fast', 'low']) await compare(folder, name, 4, 256, 32, memory, change);
  }
} finally {
  await rm(store, { recursive: true, force: true });
}
