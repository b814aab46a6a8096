/**
 * Our engine against PyTorch + PEFT, in turn, on the same weights, batches and threads.
 *   npm run bench [-- --quick] [--minutes 12] [--precision f32|bf16] [--work 4x256,sql] [--sides fast,lora] [--rounds N] [--option key=value]... [--out FILE.md] [--python INTERPRETER]
 * Options are those of a job's row_sparse and go to our side only.
 * Makes its own Python environment in the cache folder (several GB; bench/peers/requirements.txt) unless --python names one. Every finished measurement is a line
 * of FILE.jsonl beside the table, which is written anew each time; the same command goes on where it was stopped, `--fresh` begins again, `--table` only writes
 * the table. Close other programs: the cores are shared. Needs `npm run build` and `npm run setup`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openPackedModel } from '@rowsmith/hf';
import { cacheFolder, threadCount, trainerEnvironment } from '@rowsmith/native';
import { pythonWith } from '@rowsmith/testkit';
import { measureMachine } from './compare/machine.mjs';
import { table } from './compare/table.mjs';
import { examplesOf, onceOnly, shapeOf, works } from './compare/works.mjs';
import { commandLine } from '../scripts/command-line.mjs';

/** No measurement takes a third of it on a quiet machine of two cores. */
const maxRunMs = 300_000;
const here = dirname(fileURLToPath(import.meta.url));
const { values } = commandLine(import.meta.url, {
  options: {
    quick: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '12' },
    precision: { type: 'string', default: 'f32' },
    rows: { type: 'string', default: '32' },
    option: { type: 'string', multiple: true, default: [] },
    work: { type: 'string' },
    sides: { type: 'string' },
    rounds: { type: 'string' },
    out: { type: 'string' },
    python: { type: 'string' },
    model: { type: 'string', default: join(cacheFolder(), 'models', 'smollm2-135m-instruct') },
  },
});
const deadline = performance.now() + Number(values.minutes) * 60_000;
const date = new Date().toISOString().slice(0, 10);
const suffix = `${values.precision === 'f32' ? '' : `-${values.precision}`}${values.quick ? '-quick' : ''}`;
const out = resolve(values.out ?? join(here, 'results', `${date}-cpu${suffix}.md`));
const journal = out.replace(/(\.md)?$/, '.jsonl');
const threads = threadCount();
const environment = trainerEnvironment(threads);
const { config, id, weights_sha256 } = (await openPackedModel(values.model)).index;
const log = (text) => console.log(`${new Date().toISOString().slice(11, 19)}  ${text}`);

mkdirSync(dirname(out), { recursive: true });
if (values.fresh) rmSync(journal, { force: true });
const lines = existsSync(journal)
  ? readFileSync(journal, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
  : [];
const note = (line) => {
  appendFileSync(journal, `${JSON.stringify(line)}\n`);
  lines.push(line);
};
function writeTable() {
  const header = lines.find((line) => line.type === 'machine');
  const measurements = lines.filter((line) => line.type === 'measurement');
  const shapes = Object.fromEntries(lines.filter((line) => line.type === 'shape').map(({ work, shape }) => [work, shape]));
  if (header && measurements.length > 0)
    writeFileSync(out, `# Against PyTorch + PEFT, ${date}\n\n${table({ header, measurements, shapes })}`);
}

/** The same weights in the form that transformers loads fastest; kept, like the environment. */
function peerModel(python) {
  const folder = join(cacheFolder(), 'bench-peer', weights_sha256.slice(0, 16));
  if (existsSync(join(folder, 'model.safetensors'))) return folder;
  log('writing the model as safetensors for the peer');
  execFileSync(python, [join(here, 'peers', 'prepare_model.py'), values.model, folder], { stdio: ['ignore', 'ignore', 'inherit'] });
  return folder;
}

function run(command, args, env) {
  const { stdout, status, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    maxBuffer: 1 << 26,
    timeout: maxRunMs,
  });
  if (status === null) throw new Error(`${command} took longer than ${maxRunMs / 1000} s`);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}\n${stderr.split('\n').slice(-12).join('\n')}`);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

/** Measurements in order: a whole round of every work before the next round, and in a round one side after the other. */
function plan() {
  const chosen = values.work ? values.work.split(',') : Object.keys(works);
  const roundsOf = (work) => (values.rounds ? Number(values.rounds) : work.rounds[values.quick ? 'quick' : 'full']);
  const rounds = Math.max(...chosen.map((name) => roundsOf(works[name])));
  return Array.from({ length: rounds }, (_, round) =>
    chosen.flatMap((name) => {
      const sides = works[name].sides.filter((side) => !values.sides || values.sides.split(',').includes(side));
      const wanted = sides.filter((side) => (round === 0 && !values.quick) || !onceOnly.has(side));
      return round < roundsOf(works[name]) ? wanted.map((side) => ({ work: name, side, round })) : [];
    }),
  ).flat();
}

const scratch = mkdtempSync(join(tmpdir(), 'rowsmith-bench-'));
try {
  if (!values.table) await measure();
  writeTable();
  if (existsSync(out)) console.log(`\n${readFileSync(out, 'utf8')}`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

async function measure() {
  const requirements = readFileSync(join(here, 'peers', 'requirements.txt'), 'utf8')
    .split('\n')
    .filter(Boolean);
  const python = values.python ?? (await pythonWith(requirements));
  const peer = peerModel(python);
  if (!lines.some((line) => line.type === 'machine')) {
    log('measuring the machine');
    const machine = measureMachine({ here, scratch, threads, config, python, environment, tokens: 1024, precision: values.precision });
    note({
      type: 'machine',
      machine,
      threads,
      options: values.option,
      model: id,
      config,
      precision: values.precision,
      rows: Number(values.rows),
      date,
    });
  }
  const expected = new Map();
  for (const item of plan()) {
    const { work: name, side, round } = item;
    if (lines.some((line) => line.type === 'measurement' && line.work === name && line.side === side && line.round === round)) continue;
    const key = `${name} ${side}`;
    if (performance.now() + (expected.get(key) ?? 30_000) > deadline) {
      log(`no time left for ${key}, round ${round + 1}`);
      continue;
    }
    const began = performance.now();
    try {
      const result = await one(item, python, peer);
      note({ type: 'measurement', ...item, load: loadavg()[0], result });
      const rate = works[name].chat ? `${result.labelled_per_second.toFixed(1)} labelled` : result.tokens_per_second.toFixed(0);
      log(`${key}, round ${round + 1}: ${rate} tokens/s, ${result.peak_rss_mb.toFixed(0)} MiB`);
    } catch (error) {
      log(`${key}, round ${round + 1} failed: ${error.message}`);
    }
    expected.set(key, performance.now() - began);
    writeTable();
  }
}

async function one({ work: name, side }, python, peer) {
  const { batch, steps } = works[name];
  const recorded = join(scratch, `${name}-batches.json`);
  const examples = existsSync(join(scratch, `${name}.json`))
    ? join(scratch, `${name}.json`)
    : await examplesOf(name, values.model, config.vocab_size, scratch);
  const count = ['--steps', String(steps), '--warmup', '1'];
  const ours = (memory) =>
    run(
      process.execPath,
      [
        ...[join(here, 'engine-train.mjs'), values.model, '--examples', examples, '--record', recorded, '--batch', String(batch)],
        ...['--rows', values.rows, '--memory', memory, '--precision', values.precision, ...count],
        ...values.option.flatMap((pair) => ['--option', pair]),
      ],
      environment,
    );
  if (side === 'fast' || side === 'low') {
    const result = ours(side);
    if (!lines.some((line) => line.type === 'shape' && line.work === name))
      note({ type: 'shape', work: name, shape: await shapeOf(recorded) });
    return result;
  }
  // The peer trains on the batches that ours recorded; a run that goes on has none yet.
  if (!existsSync(recorded)) ours('fast');
  const settings = ['--threads', String(threads), '--rows', values.rows, '--precision', values.precision];
  return run(python, [join(here, 'peers', 'train_peft.py'), '--model', peer, '--method', side, '--work', recorded, ...count, ...settings]);
}
