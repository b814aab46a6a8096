import { createHash } from 'node:crypto';
import { StockOps } from '../ops/stock-ops.js';
import { openRuntime } from '../runtime/open-runtime.js';
import { createCausalLM } from './decoder.js';
import { tinyBatch, tinyPlan } from './tiny-batch.js';
import { tinyModel } from './tiny-model.js';

/** SHA-256 over loss and gradients of a model wide enough for TensorFlow to spread its products over threads. */
export function gradientDigest(ops: StockOps): string {
  const weights = tinyModel(11, { hidden_size: 192, intermediate_size: 512, n_heads: 6, n_kv_heads: 2, head_dim: 32, vocab_size: 1000 });
  const model = createCausalLM(ops, weights);
  const { lossSum, grads } = model.lossAndGrads(tinyBatch(12, weights.config, [150, 90, 31]), tinyPlan(model, 7), 1 / 3);
  const hash = createHash('sha256').update(Float64Array.of(lossSum));
  for (const [name, handle] of grads) hash.update(name).update(ops.runtime.readF32(handle));
  ops.runtime.release(...grads.values());
  model.dispose();
  return hash.digest('hex');
}

export async function digestOfNewRuntime(): Promise<string> {
  return gradientDigest(new StockOps(await openRuntime()));
}
