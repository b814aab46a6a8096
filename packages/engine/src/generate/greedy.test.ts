import { beforeAll, describe, expect, it } from 'vitest';
import type { CausalLM } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { tinyModel } from '../models/tiny-model.js';
import { StockOps } from '../ops/stock-ops.js';
import { openRuntime } from '../runtime/open-runtime.js';
import { philox } from '../runtime/philox.js';
import { sampler } from './sampling.js';

let ops: StockOps;
beforeAll(async () => {
  ops = new StockOps(await openRuntime());
});

/** Recomputes the whole prefix for every token; the first of the largest logits. */
function withoutCache(model: CausalLM, prompt: Int32Array, count: number): number[] {
  const ids = Array.from(prompt);
  for (let i = 0; i < count; i++) {
    const last = model.logits(Int32Array.from(ids)).slice(-model.config.vocab_size);
    ids.push(last.indexOf(Math.max(...last)));
  }
  return ids.slice(prompt.length);
}

describe('greedy decoding', () => {
  it.each([
    [1, 5],
    [6, 9],
    // Beyond one block of queries.
    [4, 70],
  ])('with the cache gives the ids of recomputing the whole prefix (model %i, prompt of %i)', (seed, length) => {
    const model = createCausalLM(ops, tinyModel(seed, { tie_embeddings: false }));
    const random = philox(seed, 'prompt', 0);
    const prompt = Int32Array.from({ length }, () => random.below(model.config.vocab_size));
    const expected = withoutCache(model, prompt, 24);
    expect(new Set(expected).size).toBeGreaterThan(3);
    expect(Array.from(model.generate(prompt, { maxNewTokens: 24, stopIds: [] }))).toEqual(expected);
    model.dispose();
  });

  it('ends after a stop id, which it includes', () => {
    const model = createCausalLM(ops, tinyModel(2, { tie_embeddings: false }));
    const free = model.generate(Int32Array.of(5, 9), { maxNewTokens: 10, stopIds: [] });
    const stop = free[4] as number;
    const ended = model.generate(Int32Array.of(5, 9), { maxNewTokens: 10, stopIds: [36, stop] });
    expect(Array.from(ended)).toEqual(Array.from(free.slice(0, free.indexOf(stop) + 1)));
    model.dispose();
  });

  it('equal logits: the lower id wins', () => {
    const weights = tinyModel(2, { tie_embeddings: false });
    const head = new Float32Array((weights.tensors.get('lm_head') as Float32Array).length);
    const model = createCausalLM(ops, { ...weights, tensors: new Map(weights.tensors).set('lm_head', head) });
    expect(Array.from(model.generate(Int32Array.of(5), { maxNewTokens: 2, stopIds: [] }))).toEqual([0, 0]);
    // All logits are 0: every prediction is id 0.
    const ids = Int32Array.of(3, 0, 1, 0);
    expect(model.loss({ size: 1, length: 4, ids, labels: ids })).toMatchObject({ correct: 2, labelled: 3 });
    model.dispose();
  });

  it('ends at the last position of the model; no new tokens on request', () => {
    const model = createCausalLM(ops, tinyModel(2, { max_position_embeddings: 6 }));
    expect(model.generate(Int32Array.of(1, 2, 3, 4), { maxNewTokens: 10, stopIds: [] }).length).toBe(3);
    expect(model.generate(Int32Array.of(1, 2, 3, 4), { maxNewTokens: 0, stopIds: [] }).length).toBe(0);
    expect(() => model.generate(new Int32Array(7), { maxNewTokens: 1, stopIds: [] })).toThrow(/6 positions/);
    model.dispose();
  });
});

describe('token by token', () => {
  const sampling = { temperature: 1.5, topK: 0, topP: 1, seed: 3, step: 1, prompt: 0 };

  it('gives the ids of the whole; left in the middle it frees its cache, whether by return or by an error', () => {
    const model = createCausalLM(ops, tinyModel(6, { tie_embeddings: false }));
    const prompt = Int32Array.of(4, 9, 2);
    const whole = Array.from(model.generate(prompt, { maxNewTokens: 8, stopIds: [] }));
    const before = ops.runtime.handleCount;
    const tokens = model.tokens(prompt, { maxNewTokens: 8, stopIds: [] });
    expect([tokens.next().value, tokens.next().value, tokens.next().value]).toEqual(whole.slice(0, 3));
    expect(ops.runtime.handleCount).toBeGreaterThan(before);
    tokens.return();
    expect(ops.runtime.handleCount).toBe(before);
    const stop = new AbortController();
    const aborted = model.tokens(prompt, { maxNewTokens: 8, stopIds: [], signal: stop.signal });
    aborted.next();
    stop.abort();
    expect(() => aborted.next()).toThrow(expect.objectContaining({ code: 'aborted' }));
    expect(ops.runtime.handleCount).toBe(before);
    model.dispose();
  });

  it('sampled: each token is the seeded draw from the logits of the whole prefix; the same seed gives the same ids', () => {
    const model = createCausalLM(ops, tinyModel(6, { tie_embeddings: false }));
    const prompt = Int32Array.of(4, 9, 2);
    const ids = Array.from(model.generate(prompt, { maxNewTokens: 12, stopIds: [], sampling }));
    const choose = sampler(sampling);
    const prefix = Array.from(prompt);
    for (const id of ids) {
      expect(id).toBe(choose(model.logits(Int32Array.from(prefix)).slice(-model.config.vocab_size)));
      prefix.push(id);
    }
    expect(Array.from(model.generate(prompt, { maxNewTokens: 12, stopIds: [], sampling }))).toEqual(ids);
    expect(Array.from(model.generate(prompt, { maxNewTokens: 12, stopIds: [] }))).not.toEqual(ids);
    expect(Array.from(model.generate(prompt, { maxNewTokens: 12, stopIds: [], sampling: { ...sampling, temperature: 0 } }))).toEqual(
      Array.from(model.generate(prompt, { maxNewTokens: 12, stopIds: [] })),
    );
    model.dispose();
  });
});
