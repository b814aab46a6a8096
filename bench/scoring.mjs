/**
 * What choosing rows costs: l2 in seconds, and first-order Taylor against as many training steps, in turn in one process.
 *   node bench/scoring.mjs [--rounds 3] [--batches 4] [--batch 4] [--length 256] [--scorers taylor]
 * A training step is forward, dX and a few rows; Taylor is forward, dX and whole gradients, so the ratio of the operations is printed beside the measured one.
 * Needs `npm run build` and `npm run setup`.
 */
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { resolveJob } from '@rowsmith/core';
import { openEngine, philox, planRows, rowTensors, scoreChannels, train } from '@rowsmith/engine';
import { openPackedModel } from '@rowsmith/hf';
import { cacheFolder } from '@rowsmith/native';
import { flopsPerToken, layerShapes } from './compare/arithmetic.mjs';
import { commandLine } from '../scripts/command-line.mjs';

const { values } = commandLine(import.meta.url, {
  options: {
    rounds: { type: 'string', default: '3' },
    batches: { type: 'string', default: '4' },
    batch: { type: 'string', default: '4' },
    length: { type: 'string', default: '256' },
    rows: { type: 'string', default: '32' },
    scorers: { type: 'string', default: 'taylor' },
    model: { type: 'string', default: join(cacheFolder(), 'models', 'smollm2-135m-instruct') },
  },
});
const [rounds, batches, batch, length, rows] = [values.rounds, values.batches, values.batch, values.length, values.rows].map(Number);
const packed = await openPackedModel(values.model);
const { config } = packed.index;
const examples = Array.from({ length: batches * batch }, (_, i) => {
  const random = philox(1, 'scoring bench', i);
  const ids = Int32Array.from({ length }, () => random.below(config.vocab_size));
  return { ids, labels: ids };
});
const resolved = resolveJob(
  {
    model: packed.index.id,
    training_file: 'file-none',
    hyperparameters: { n_epochs: 1, batch_size: batch },
    row_sparse: { rows, max_seq_length: length, calibration_batches: batches },
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
const model = await engine.loadModel(packed, { rowTensors: rowTensors(config, rowSparse) });

const timed = async (work) => {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
};
const score = (scorer) => timed(() => scoreChannels({ engine, model, config: { ...rowSparse, scorer }, seed, examples, batchSize: batch }));
const plan = planRows(engine, model, rowSparse, seed);
const trainOnce = async () => {
  let seconds = 0;
  const input = { engine, model, plan, trainExamples: examples, validExamples: [], seed, hyperparameters, rowSparse };
  for await (const event of train({ ...input, clock: () => performance.now() })) if (event.type === 'step') seconds += event.point.seconds;
  return seconds;
};
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

await trainOnce();
const l2 = [];
for (let round = 0; round < rounds; round++) l2.push(await score('l2'));
console.log(`load ${loadavg()[0].toFixed(1)}; l2: ${median(l2).toFixed(3)} s, best ${Math.min(...l2).toFixed(3)} s`);
const step = flopsPerToken(config, { length, rows }).total;
const whole =
  flopsPerToken(config, { length, rows: 0 }).total +
  layerShapes(config).reduce((sum, [out, width, count]) => sum + 2 * out * width * count, 0);
for (const scorer of values.scorers.split(',')) {
  const runs = [];
  for (let round = 0; round < rounds; round++) runs.push([await trainOnce(), await score(scorer)]);
  const ratios = runs.map(([steps, scores]) => scores / steps);
  const [steps, scores] = [0, 1].map((side) => median(runs.map((run) => run[side])) / batches);
  console.log(
    `${scorer}: ${scores.toFixed(2)} s a batch, a step ${steps.toFixed(2)} s: ${median(ratios).toFixed(2)} times (${ratios.map((r) => r.toFixed(2)).join(', ')});` +
      ` operations: ${(whole / step).toFixed(2)} times`,
  );
}
