/** For a new process: whole runs on a number of threads, on models large enough for TensorFlow and the fused operators to spread their work. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EncodedExample, type PackedModelIndex, type RowSparseConfig, scorerNames } from '@rowsmith/contracts';
import { cacheFolder } from '@rowsmith/native';
import { type Engine, engineOf, openEngine } from '../engine.js';
import type { CausalLM } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyModel } from '../models/tiny-model.js';
import { FusedOps } from '../ops/fused-ops.js';
import { StockOps } from '../ops/stock-ops.js';
import { type Quantization, quantizationOf } from '../quant/formats.js';
import { planFromScores } from '../rows/plan-from-scores.js';
import { scoreChannels } from '../rows/score-channels.js';
import { philox } from '../runtime/philox.js';
import { digest, toyInput, toyRowSparse } from '../train/toy-run.js';
import { train } from '../train/train.js';
import { lineOf } from './exactness-run.js';

const wide = { hidden_size: 192, intermediate_size: 512, n_heads: 6, n_kv_heads: 2, head_dim: 32, vocab_size: 1000 };

const examplesOf = (count: number, vocab: number): EncodedExample[] =>
  Array.from({ length: count }, (_, i) => {
    const random = philox(3, 'thread runs', i);
    const ids = Int32Array.from({ length: 40 + 17 * i }, () => random.below(vocab));
    return { ids, labels: ids };
  });

/** Scores, chooses, trains two steps with clipping, evaluates. Digests of the scores and of every event with all bits. */
async function runOf(engine: Engine, model: CausalLM, change: Partial<RowSparseConfig>, vocab: number): Promise<readonly [string, string]> {
  const rowSparse: RowSparseConfig = { ...toyRowSparse, rows: 24, max_grad_norm: 0.1, max_steps: 2, max_seq_length: 512, ...change };
  const examples = examplesOf(4, vocab);
  const { scores } = await scoreChannels({ engine, model, config: rowSparse, seed: 3, examples, batchSize: 2 });
  const hash = createHash('sha256');
  for (const [name, channels] of scores) for (const of of [channels.out, channels.in]) hash.update(name).update(new Float64Array(of));
  const lines: string[] = [];
  const plan = planFromScores(model, rowSparse, scores);
  const input = toyInput(engine, { model, plan, rowSparse, trainExamples: examples, validExamples: examples.slice(0, 2), batch: 2 });
  for await (const event of train(input)) lines.push(...lineOf(event));
  return [hash.digest('hex'), digest(lines.join('\n'))];
}

/** Linux: an entry for each thread of this process. */
const tasks = '/proc/self/task';

/** JSON: digests by run, and how many threads the process has in the end. Every scorer, every way to hold the base, both kinds of operators; then the demo model. */
export async function runsOnThreads(threads: string): Promise<string> {
  for (const name of ['TF_NUM_INTRAOP_THREADS', 'OMP_NUM_THREADS', 'ROWSMITH_THREADS']) process.env[name] = threads;
  const fused = await openEngine();
  const { runtime } = fused.ops;
  const stock = engineOf(new StockOps(runtime), { kind: 'stock', reason: 'the other kind' });
  const rounding = engineOf(new FusedOps(runtime, 'bf16'), { kind: 'fused' });
  const digests: Record<string, readonly [string, string]> = {};
  const held: readonly Partial<RowSparseConfig>[] = [
    { channels: 'both', update_dropout: 0.1 },
    { channels: 'coupled', packing: false },
    { quantization: 'nf4', double_quantization: true },
    { quantization: 'int8' },
    { quantization: 'bf16' },
  ];
  for (const [kind, engine] of Object.entries({ fused, stock, rounding }))
    for (const [i, scorer] of scorerNames.entries()) {
      // Rounded products differ in one operator only.
      if (engine === rounding && i >= 2) break;
      const change = { scorer, calibration_batches: 2, ...held[i % held.length] };
      const quantization: Quantization | undefined = quantizationOf({ ...toyRowSparse, ...change });
      const model = createCausalLM(engine.ops, tinyModel(11, wide), { quantization, memory: i % 2 === 0 ? 'fast' : 'low' });
      digests[`${kind} ${JSON.stringify(change)}`] = await runOf(engine, model, change, wide.vocab_size);
      model.dispose();
    }
  const folder = join(cacheFolder(), 'models', 'smollm2-135m-instruct');
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as PackedModelIndex;
  const demo = await fused.loadModel({ index, weightsPath: join(folder, 'weights.bin') });
  digests['demo model'] = await runOf(fused, demo, { channels: 'both', scorer: 'wanda', calibration_batches: 1, layers: [27, 29] }, 5000);
  return JSON.stringify({ digests, threads: existsSync(tasks) ? readdirSync(tasks).length : null });
}
