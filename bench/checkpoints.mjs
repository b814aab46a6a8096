/**
 * What saving a checkpoint costs a training job: the time between two steps that neither of them took, with a checkpoint between them and without.
 *   node bench/checkpoints.mjs [--steps 40] [--every 5] [--batch 4] [--rows 32]
 * A trainer as a worker starts it, in its own process, a store of files: rows, moments and manifest are written, hashed and synced. Needs `npm run build` and `npm run setup`.
 */
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '@rowsmith/native';
import { commandLine } from '../scripts/command-line.mjs';
import { attempt, builtTrainer, specOf } from './trainer/attempt.mjs';

const { values } = commandLine(import.meta.url, {
  options: {
    steps: { type: 'string', default: '40' },
    every: { type: 'string', default: '5' },
    batch: { type: 'string', default: '4' },
    rows: { type: 'string', default: '32' },
    model: { type: 'string', default: join(cacheFolder(), 'models', 'smollm2-135m-instruct') },
  },
});
const usualSeconds = 30;
const options = { batch: Number(values.batch), rows: Number(values.rows), scorer: 'l2' };
const spec = await specOf(values.model, { ...options, checkpoint_every_seconds: Number(values.every), max_steps: Number(values.steps) });

const [saved, plain] = [[], []];
let [last, between] = [null, false];
const started = performance.now();
await attempt(builtTrainer, values.model, spec, (message, child) => {
  const now = (performance.now() - started) / 1000;
  if (message.type === 'checkpoint') {
    between = true;
    // The worker says so once the database has it.
    child.send({ type: 'recorded', manifest_key: message.manifest_key });
  }
  if (message.type !== 'metric' || message.point.train_loss === null) return;
  if (last !== null) (between ? saved : plain).push(now - last - message.point.seconds);
  [last, between] = [now, false];
});
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const cost = median(saved) - median(plain);
console.log(
  `load ${loadavg()[0].toFixed(1)}; ${saved.length} checkpoints among ${saved.length + plain.length} steps, batch ${values.batch}, rows ${values.rows}`,
);
console.log(
  `between steps: ${median(plain).toFixed(3)} s, with a checkpoint ${median(saved).toFixed(3)} s (${saved.map((s) => s.toFixed(2)).join(', ')})`,
);
console.log(`a checkpoint: ${cost.toFixed(3)} s, ${((100 * cost) / usualSeconds).toFixed(2)} % of the time at one every ${usualSeconds} s`);
