/** One measurement of bench/memory.mjs in a process of its own: a few optimiser steps, then one line of JSON with the peak. Argument: a JSON object. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openEngine, philox, planRows, quantizationOf, rowTensors, train } from '@rowsmith/engine';

const { folder, batch, length, memory, rowSparse } = JSON.parse(process.argv[2]);
const engine = await openEngine({ precision: rowSparse.precision });
const runtimeBytes = process.memoryUsage.rss();
const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'));
const model = await engine.loadModel(
  { index, weightsPath: join(folder, 'weights.bin') },
  { memory, rowTensors: rowTensors(index.config, rowSparse), quantization: quantizationOf(rowSparse) },
);
const plan = planRows(engine, model, rowSparse, 1);
const examples = Array.from({ length: 3 * batch }, (_, i) => {
  const random = philox(1, 'memory bench', i);
  const ids = Int32Array.from({ length }, () => random.below(index.config.vocab_size));
  return { ids, labels: ids };
});
const events = train({
  ...{ engine, model, plan, trainExamples: examples, validExamples: [], seed: 1, rowSparse, clock: () => performance.now() },
  hyperparameters: { n_epochs: 1, batch_size: batch, learning_rate_multiplier: 1 },
});
for await (const event of events) if (event.type === 'done') break;
console.log(JSON.stringify({ runtimeBytes, peakBytes: process.resourceUsage().maxRSS * 1024, operators: engine.operators.kind }));
