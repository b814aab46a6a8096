/**
 * Tokens per second and peak memory of one forward and backward pass on a packed model, random tokens, every label counts.
 *   node bench/engine-step.mjs <model folder> [--batch 4] [--length 256] [--rows 32] [--steps 5] [--memory fast|low]
 *     [--execution auto|eager|graph] [--operators fused|stock]
 * Needs a build (`npm run build`) and the native parts (`npm run setup`).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openEngine, philox } from '@rowsmith/engine';
import { commandLine } from '../scripts/command-line.mjs';

const { positionals, values } = commandLine(import.meta.url, {
  names: ['<model folder>'],
  options: {
    batch: { type: 'string', default: '4' },
    length: { type: 'string', default: '256' },
    rows: { type: 'string', default: '32' },
    steps: { type: 'string', default: '5' },
    memory: { type: 'string', default: 'fast' },
    execution: { type: 'string', default: 'auto' },
    operators: { type: 'string', default: 'fused' },
  },
});
const [folder] = positionals;
const [size, length, rows, steps] = [values.batch, values.length, values.rows, values.steps].map(Number);

// The kernels package looks at this when it loads.
if (values.operators === 'stock') process.env.ROWSMITH_KERNELS = 'off';
const engine = await openEngine({ execution: values.execution });
const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'));
const started = performance.now();
const model = await engine.loadModel({ index, weightsPath: join(folder, 'weights.bin') }, { memory: values.memory });
console.log(`loaded in ${Math.round(performance.now() - started)} ms`);

const random = philox(1, 'bench tokens', 0);
const ids = Int32Array.from({ length: size * length }, () => random.below(index.config.vocab_size));
const plan = {
  modules: model.linears.map((linear) => ({
    ...linear,
    indices: Int32Array.from({ length: Math.min(rows, linear.outFeatures) }, (_, i) => Math.floor((i * linear.outFeatures) / rows)),
  })),
};
const rates = [];
let firstStep = 0;
for (let step = 0; step <= steps; step++) {
  const before = performance.now();
  const { lossSum, labelled, grads } = model.lossAndGrads({ size, length, ids, labels: ids }, plan, 1 / (size * (length - 1)));
  const seconds = (performance.now() - before) / 1000;
  engine.release([...grads.values()]);
  if (step === 0) firstStep = seconds;
  if (step > 0) rates.push((size * length) / seconds);
  console.log(
    `step ${step}: loss ${(lossSum / labelled).toFixed(4)}  ${seconds.toFixed(2)} s  ${((size * length) / seconds).toFixed(0)} tokens/s`,
  );
}
rates.sort((a, b) => a - b);
const peak = process.resourceUsage().maxRSS / 1024;
console.log(
  JSON.stringify({
    batch: size,
    length,
    rows,
    memory: values.memory,
    operators: engine.operators.kind,
    execution: engine.execution,
    firstStep,
    tokensPerSecond: { median: rates[rates.length >> 1], best: rates.at(-1) },
    peakRssMiB: peak,
  }),
);
