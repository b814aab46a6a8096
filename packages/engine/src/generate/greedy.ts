import type { DecoderConfig } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import { checkLength } from '../models/batch.js';
import type { GenerateOptions } from '../models/causal-lm.js';
import { feedForward, layerWeights, projectHeads, queryShape } from '../models/layer.js';
import type { PositionTables, RopeTables } from '../models/rope-tables.js';
import type { ModelWeights } from '../models/weights.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';

export interface DecodingModel {
  readonly ops: StockOps;
  readonly weights: ModelWeights;
  readonly rope: RopeTables;
  readonly head: Handle;
}

/** Keys and values of every layer so far: [1, K, t, D] each. */
type Cache = { k: Handle; v: Handle }[];

/**
 * Greedy continuation of one sequence. The prompt runs once; each new token attends to the cached keys and values.
 * Throws EngineError `aborted` when the signal fires; ends early, without error, when the model has no further position.
 */
export function generateGreedy(model: DecodingModel, ids: Int32Array, options: GenerateOptions): Int32Array {
  const { config } = model.weights;
  checkLength(ids.length, config);
  if (!Number.isInteger(options.maxNewTokens) || options.maxNewTokens < 0)
    throw new EngineError('user', 'invalid_options', `maxNewTokens must be a whole number, got ${options.maxNewTokens}`);
  const { runtime } = model.ops;
  const made: number[] = [];
  runtime.scope(() => {
    const cache: Cache = [];
    let next = ids;
    for (let position = 0; made.length < options.maxNewTokens && position + next.length <= config.max_position_embeddings; ) {
      if (options.signal?.aborted)
        throw new EngineError('infra', 'aborted', 'generation was aborted', null, { cause: options.signal.reason });
      const id = nextId(model, cache, next, position);
      made.push(id);
      if (options.stopIds.includes(id)) break;
      position += next.length;
      next = Int32Array.of(id);
    }
  });
  return Int32Array.from(made);
}

/** Runs `ids` at the positions after the cache, extends the cache, and returns the most likely id after the last. Waits for the device. */
function nextId({ ops, weights, rope, head }: DecodingModel, cache: Cache, ids: Int32Array, position: number): number {
  const { runtime } = ops;
  const { config } = weights;
  return runtime.scope((keep) => {
    const at = rope.positions(position, ids.length);
    let x = ops.gatherRows(weights.get('embed'), runtime.upload(ids, [ids.length], 'i32', true));
    for (let layer = 0; layer < config.n_layers; layer++) {
      const before = x;
      const result = runtime.scope((keepLayer) => {
        const { y, k, v } = cachedLayer(ops, weights, config, layer, before, ids.length, at, cache[layer]);
        return { y: keepLayer(y), k: keepLayer(k), v: keepLayer(v) };
      });
      x = result.y;
      runtime.release(before);
      const past = cache[layer];
      if (past) runtime.release(past.k, past.v);
      cache[layer] = { k: keep(result.k), v: keep(result.v) };
    }
    const last = ops.sliceRows(x, ids.length - 1, 1);
    const logits = ops.linear(ops.rmsNorm(last, weights.get('final_norm'), config.norm_eps), head);
    return runtime.readI32(ops.argMax(logits))[0] as number;
  });
}

function cachedLayer(
  ops: StockOps,
  weights: ModelWeights,
  config: DecoderConfig,
  layer: number,
  x: Handle,
  length: number,
  at: PositionTables,
  past: Cache[number] | undefined,
): { y: Handle; k: Handle; v: Handle } {
  const w = layerWeights(weights, layer);
  const shape = queryShape(config, 1, length);
  const { q, k, v } = projectHeads(ops, w, config, x, 1, length, at);
  const keys = past ? ops.appendSequence(past.k, k) : k;
  const values = past ? ops.appendSequence(past.v, v) : v;
  const out = past ? ops.fullAttention(q, keys, values) : ops.causalAttentionForward(q, keys, values, shape);
  return { y: feedForward(ops, w, config, x, ops.mergeHeads(out, shape)).y, k: keys, v: values };
}
