import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PackedModelIndex } from '@rowsmith/contracts';
import { cacheFolder } from '@rowsmith/native';
import { openEngine } from '../engine.js';
import { philox } from '../runtime/philox.js';
import { pack } from '../train/collate.js';
import { gradientDigest } from './gradient-digest.js';
import { tinyPlan } from './tiny-batch.js';

/**
 * For a new process: loss and gradients of a small model and of the demo model, with the operators that training uses, on `threads` threads. JSON: their
 * SHA-256 and how many threads the process has in the end.
 */
export async function digestOnThreads(threads: string): Promise<string> {
  for (const name of ['TF_NUM_INTRAOP_THREADS', 'OMP_NUM_THREADS', 'ROWSMITH_THREADS']) process.env[name] = threads;
  const engine = await openEngine();
  const small = gradientDigest(engine.ops);
  const folder = join(cacheFolder(), 'models', 'smollm2-135m-instruct');
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as PackedModelIndex;
  const model = await engine.loadModel({ index, weightsPath: join(folder, 'weights.bin') });
  const examples = [70, 33].map((length, i) => {
    const random = philox(2, 'threads', i);
    const ids = Int32Array.from({ length }, () => random.below(index.config.vocab_size));
    return { ids, labels: ids };
  });
  const plan = tinyPlan(model, 50, (name) => /layers\.(0|15|29)\./.test(name));
  const { lossSum, grads } = model.lossAndGrads(pack(examples), plan, 1 / 101);
  const hash = createHash('sha256').update(Float64Array.of(lossSum));
  for (const [name, handle] of grads) hash.update(name).update(engine.ops.runtime.readF32(handle));
  return JSON.stringify({ small, demo: hash.digest('hex'), threads: readdirSync('/proc/self/task').length });
}
