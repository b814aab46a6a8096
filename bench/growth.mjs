/**
 * How time and memory of a training step grow: with the length of a sequence, the batch, the rows, the layers. Each point is a process of its own.
 *   node bench/growth.mjs [--out bench/results/growth] [--minutes 10] [--only length,batch,rows,layers] [--fresh] [--python INTERPRETER]
 * Writes OUT.csv line by line (the same command goes on where it was stopped), then OUT.svg with Matplotlib. A point is flagged `slow` where it does fewer operations a
 * second than a smaller point of its curve by more than a fifth, `large` where its peak is a seventh above the estimate by which jobs are admitted.
 * The model is SmolLM2 cut to a few layers, so that thirty points take minutes; one label in eight counts, as in chat files. Needs `npm run build`, `npm run setup`.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openPackedModel } from '@rowsmith/hf';
import { cacheFolder, threadCount, trainerEnvironment } from '@rowsmith/native';
import { pythonWith } from '@rowsmith/testkit';
import { flopsPerToken } from './compare/arithmetic.mjs';
import { commandLine } from '../scripts/command-line.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = commandLine(import.meta.url, {
  options: {
    out: { type: 'string', default: join(here, 'results', 'growth') },
    minutes: { type: 'string', default: '10' },
    only: { type: 'string', default: 'length,batch,rows,layers' },
    fresh: { type: 'boolean', default: false },
    python: { type: 'string' },
    model: { type: 'string', default: join(cacheFolder(), 'models', 'smollm2-135m-instruct') },
  },
});
const labelEvery = 8;
const base = { memory: 'fast', length: 256, batch: 4, rows: 32, layers: 4 };
const both = (points) => points.flatMap((point) => [point, { ...point, memory: 'low' }]);
const sweeps = {
  length: both([256, 512, 1024, 2048, 4096, 8192].map((length) => ({ ...base, batch: 1, length }))),
  batch: both([1, 2, 4, 8].map((batch) => ({ ...base, batch }))),
  rows: [8, 16, 32, 64, 128, 256, 512, 1536].map((rows) => ({ ...base, rows })),
  layers: [1, 2, 4, 8, 16, 30].map((layers) => ({ ...base, layers })),
};
const columns = [
  ...['sweep', 'x', 'memory', 'length', 'batch', 'rows', 'layers', 'seconds', 'tokens_per_second', 'gflop_per_token', 'gflops'],
  ...['peak_mib', 'anonymous_mib', 'estimate_mib', 'flag'],
];

const csv = `${resolve(values.out)}.csv`;
mkdirSync(dirname(csv), { recursive: true });
if (values.fresh) rmSync(csv, { force: true });
if (!existsSync(csv)) writeFileSync(csv, `${columns.join(',')}\n`);
const points = readFileSync(csv, 'utf8')
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => Object.fromEntries(line.split(',').map((text, i) => [columns[i], /^[\d.]+$/.test(text) ? Number(text) : text])));

const { config } = (await openPackedModel(values.model)).index;
const scratch = mkdtempSync(join(tmpdir(), 'rowsmith-growth-'));
const deadline = performance.now() + Number(values.minutes) * 60_000;
try {
  for (const sweep of values.only.split(','))
    for (const point of sweeps[sweep]) {
      const x = point[sweep];
      if (points.some((known) => known.sweep === sweep && known.x === x && known.memory === point.memory)) continue;
      if (performance.now() > deadline) {
        console.log('no time left: the same command goes on from here');
        break;
      }
      const measured = { sweep, x, ...point, ...measure(point) };
      measured.flag = flagOf(measured);
      points.push(measured);
      const line = columns
        .map((name) => (typeof measured[name] === 'number' ? Number(measured[name].toPrecision(5)) : measured[name]))
        .join(',');
      appendFileSync(csv, `${line}\n`);
      console.log(line);
    }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
const requirements = readFileSync(join(here, 'peers', 'requirements.txt'), 'utf8')
  .split('\n')
  .filter(Boolean);
const python = values.python ?? (await pythonWith(requirements));
execFileSync(python, [join(here, 'peers', 'plot_growth.py'), csv, csv.replace(/csv$/, 'svg')], { stdio: 'inherit' });
const flagged = points.filter(({ flag }) => flag !== '');
console.log(
  flagged.length === 0 ? 'no point is worse than the arithmetic' : `worse than the arithmetic: ${JSON.stringify(flagged, null, 1)}`,
);
process.exitCode = flagged.length === 0 ? 0 : 1;

function measure({ memory, length, batch, rows, layers }) {
  const steps = length >= 4096 ? 2 : 4;
  const examples = Array.from({ length: (steps + 1) * batch }, (_, e) => {
    const ids = Array.from({ length }, (_, i) => ((e * 7919 + i) * 2654435761) % config.vocab_size);
    return { ids, labels: ids.map((id, i) => (i % labelEvery === 1 ? id : -100)) };
  });
  const file = join(scratch, 'examples.json');
  writeFileSync(file, JSON.stringify(examples));
  const sizes = ['--batch', batch, '--rows', rows, '--layers', layers, '--memory', memory, '--steps', steps].map(String);
  const output = execFileSync(process.execPath, [join(here, 'engine-train.mjs'), values.model, '--examples', file, ...sizes], {
    encoding: 'utf8',
    env: { ...process.env, ...trainerEnvironment(threadCount()) },
  });
  const result = JSON.parse(output.trim().split('\n').at(-1));
  // The fastest step: other programs only slow steps down, and a curve compares points that ran minutes apart.
  const seconds = Math.min(...result.step_seconds);
  const gflop = flopsPerToken({ ...config, n_layers: layers }, { length, labelledShare: 1 / labelEvery, rows }).total / 1e9;
  // Low computes each layer a second time, but for its output.
  const again = memory === 'low' ? againOf({ ...config, n_layers: layers }, length) / 1e9 : 0;
  return {
    seconds,
    tokens_per_second: (batch * length) / seconds,
    gflop_per_token: gflop + again,
    gflops: (batch * length * (gflop + again)) / seconds,
    peak_mib: result.peak_rss_mb,
    anonymous_mib: result.anonymous_mb,
    estimate_mib: result.estimate_mb,
  };
}

/** Operations a token of layers computed again: the linears but down_proj, two of the seven products of attention. */
function againOf(cut, length) {
  const { linears, attention } = flopsPerToken(cut, { length, labelledShare: 0, rows: 0 });
  return linears / 2 - 2 * cut.hidden_size * cut.intermediate_size * cut.n_layers + (attention * 2) / 7;
}

function flagOf({ sweep, x, memory, gflops, peak_mib: peak, estimate_mib: estimate }) {
  const before = points.filter((point) => point.sweep === sweep && point.memory === memory && point.x < x);
  const slow = before.some((point) => gflops < 0.8 * point.gflops);
  return [...(slow ? ['slow'] : []), ...(peak > (8 / 7) * estimate ? ['large'] : [])].join(' ');
}
