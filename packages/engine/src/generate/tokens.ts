import type { DecoderConfig } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import { checkLength } from '../models/batch.js';
import type { GenerateOptions } from '../models/causal-lm.js';
import { embedTokens, logitsOf } from '../models/embedding.js';
import { feedForward, layerWeights, projectHeads, queryShape } from '../models/layer.js';
import type { PositionTables, RopeTables } from '../models/rope-tables.js';
import type { ModelWeights } from '../models/weights.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';
import { type Choice, sampler } from './sampling.js';

export interface DecodingModel {
  readonly ops: StockOps;
  readonly weights: ModelWeights;
  readonly rope: RopeTables;
}

/** Keys and values that later positions see, of every layer: [1, K, t, D] each. */
type Cache = { k: Handle; v: Handle }[];

/**
 * Continues one sequence, token by token. The prompt runs once; each new token attends to the cached keys and values. Between two tokens the caller may
 * do other things, but not change the model's rows; `return()` frees the cache. Ends after a stop id, after `maxNewTokens`, or when the model has no
 * further position. Throws EngineError `invalid_options`, `invalid_batch`, and `aborted` when the signal fires.
 */
export function* tokensOf(model: DecodingModel, ids: Int32Array, options: GenerateOptions): Generator<number, void, void> {
  const { config } = model.weights;
  const { runtime } = model.ops;
  checkLength(ids.length, config);
  if (!Number.isInteger(options.maxNewTokens) || options.maxNewTokens < 0)
    throw new EngineError('user', 'invalid_options', `maxNewTokens must be a whole number, got ${options.maxNewTokens}`);
  const choose = options.sampling?.temperature ? sampler(options.sampling) : null;
  const cache: Cache = [];
  const made: number[] = [];
  try {
    let next = ids;
    for (let position = 0; made.length < options.maxNewTokens && position + next.length <= config.max_position_embeddings; ) {
      if (options.signal?.aborted)
        throw new EngineError('infra', 'aborted', 'generation was aborted', null, { cause: options.signal.reason });
      const id = nextId(model, cache, next, position, choose);
      made.push(id);
      yield id;
      if (options.stopIds.includes(id)) break;
      position += next.length;
      next = Int32Array.of(id);
      if (model.rope.rotateAlike(position, position + 1)) continue;
      // The cached keys are rotated as those of a short sequence: the long one starts over.
      for (const { k, v } of cache.splice(0)) runtime.release(k, v);
      next = Int32Array.of(...ids, ...made);
      position = 0;
    }
  } finally {
    for (const { k, v } of cache) runtime.release(k, v);
  }
}

/**
 * Runs `ids` at the positions after the cache, extends the cache, and returns the id after the last: the most likely one (ties: the lower id) unless
 * `choose` says. Waits for the device. Empties the cache when an operator fails.
 */
function nextId({ ops, weights, rope }: DecodingModel, cache: Cache, ids: Int32Array, position: number, choose: Choice | null): number {
  const { runtime } = ops;
  const { config } = weights;
  let extended = 0;
  try {
    return runtime.scope((keep) => {
      const at = rope.positions(position, ids.length);
      let x = embedTokens(ops, weights, runtime.upload(ids, [ids.length], 'i32', true));
      for (let layer = 0; layer < config.n_layers; layer++) {
        const before = x;
        const result = runtime.scope((keepLayer) => {
          const { y, k, v } = cachedLayer(ops, weights, config, layer, before, ids.length, at(layer), cache[layer]);
          return { y: keepLayer(y), k: keepLayer(k), v: keepLayer(v) };
        });
        x = result.y;
        runtime.release(before);
        const past = cache[layer];
        cache[layer] = { k: keep(result.k), v: keep(result.v) };
        extended = layer + 1;
        if (past) runtime.release(past.k, past.v);
      }
      const logits = logitsOf(ops, weights, ops.sliceRows(x, ids.length - 1, 1));
      return choose ? choose(runtime.readF32(logits)) : (runtime.readI32(ops.argMax(logits))[0] as number);
    });
  } catch (error) {
    // The scope has freed what it had extended.
    for (const { k, v } of cache.splice(0).slice(extended)) runtime.release(k, v);
    throw error;
  }
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
  const out = past ? ops.fullAttention(q, keys, values, at.mask.softcap) : ops.causalAttentionForward(q, keys, values, shape, at.mask);
  const seen = (all: Handle) => lastOf(ops, all, at.mask.window);
  return { y: feedForward(ops, w, config, x, ops.mergeHeads(out, shape)).y, k: seen(keys), v: seen(values) };
}

/** What the next position of a layer with a window sees beside itself, the last window - 1 positions; without one, all. */
function lastOf(ops: StockOps, all: Handle, window = 0): Handle {
  const length = all.shape[2] ?? 0;
  return window > 0 && length >= window ? ops.sliceSequence(all, length - window + 1, window - 1) : all;
}
