/**
 * One forward and backward pass by stock operators one by one, as a graph, and by fused operators one by one: in turn in one process, wall and processor
 * time, medians and ratios of neighbours. On a busy machine the processor time is the better measure.
 *   node bench/execution.mjs <model folder> [--batch 4] [--length 256] [--rows 32] [--rounds 5] [--memory fast|low]
 * Needs a build (`npm run build`) and the native parts (`npm run setup`).
 */
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { openEngine, philox } from '@rowsmith/engine';
import { commandLine } from '../scripts/command-line.mjs';

const { positionals, values } = commandLine(import.meta.url, {
  names: ['<model folder>'],
  options: {
    batch: { type: 'string', default: '4' },
    length: { type: 'string', default: '256' },
    rows: { type: 'string', default: '32' },
    rounds: { type: 'string', default: '5' },
    memory: { type: 'string', default: 'fast' },
  },
});
const [folder] = positionals;
const [size, length, rows, rounds] = [values.batch, values.length, values.rows, values.rounds].map(Number);

const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'));
const source = { index, weightsPath: join(folder, 'weights.bin') };
const [fused, graph] = [await openEngine({ execution: 'eager' }), await openEngine({ execution: 'graph' })];
const { memory } = values;
const kinds = {
  stock: [graph, await graph.loadModel(source, { memory, execution: 'eager' })],
  graph: [graph, await graph.loadModel(source, { memory })],
  fused: [fused, await fused.loadModel(source, { memory })],
};
const random = philox(1, 'bench tokens', 0);
const ids = Int32Array.from({ length: size * length }, () => random.below(index.config.vocab_size));
const batch = { size, length, ids, labels: ids };
const [, model] = kinds.stock;
const plan = {
  modules: model.linears.map((linear) => ({
    ...linear,
    indices: Int32Array.from({ length: Math.min(rows, linear.outFeatures) }, (_, i) => Math.floor((i * linear.outFeatures) / rows)),
  })),
};

function step(kind) {
  const [engine, of] = kinds[kind];
  const [wall, cpu] = [performance.now(), process.cpuUsage()];
  const { lossSum, labelled, grads } = of.lossAndGrads(batch, plan, 1 / (size * (length - 1)));
  const { user, system } = process.cpuUsage(cpu);
  engine.release(grads.values());
  return { wall: (performance.now() - wall) / 1000, cpu: (user + system) / 1e6, loss: lossSum / labelled };
}

const results = { stock: [], graph: [], fused: [] };
const first = Object.fromEntries(Object.keys(results).map((kind) => [kind, step(kind)]));
for (let round = 0; round < rounds; round++) for (const kind of Object.keys(results)) results[kind].push(step(kind));
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const of = (kind, what) => results[kind].map((result) => result[what]);
const ratio = (a, b, what) => median(of(a, what).map((value, i) => value / of(b, what)[i]));
const both = (get) => Object.fromEntries(['wall', 'cpu'].map((what) => [what, get(what)]));
console.log(
  JSON.stringify(
    {
      ...{ batch: size, length, rows, memory, rounds, load: loadavg()[0] },
      first,
      seconds: Object.fromEntries(Object.keys(results).map((kind) => [kind, both((what) => median(of(kind, what)))])),
      graphToStock: both((what) => ratio('graph', 'stock', what)),
      graphToFused: both((what) => ratio('graph', 'fused', what)),
    },
    null,
    1,
  ),
);
