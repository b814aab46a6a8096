/** Every scorer on a tiny model against formulas over the dense reference's gradients and inputs; its promises about weights, handles, memory. */
import type { EncodedExample, ScorerName } from '@rowsmith/contracts';
import { loadTensorFlow } from '@rowsmith/native';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Engine, openEngine } from '../engine.js';
import type { CausalLM, LinearInfo } from '../models/causal-lm.js';
import { createCausalLM } from '../models/decoder.js';
import { denseInputSquares, denseLossAndGradients } from '../models/dense-reference.js';
import { tinyModel } from '../models/tiny-model.js';
import { runInNewProcess } from '../testing/run-in-new-process.js';
import { collate, labelledTokens } from '../train/collate.js';
import { exampleOrder } from '../train/order.js';
import { scoreChannels } from './score-channels.js';
import type { ScoreMatrix } from './score-matrix.js';
import { passesOf } from './scorers/passes.js';
import { scoresText, scoringExamples, tinyScoring } from './testing/tiny-scoring.js';

let engine: Engine;
let model: CausalLM;
let tf: Awaited<ReturnType<typeof loadTensorFlow>>;
const weights = tinyModel(31);
const examples = scoringExamples;
const order = (seed: number) => Array.from(exampleOrder(examples.length, seed, 0), (i) => examples[i] as EncodedExample);
beforeAll(async () => {
  engine = await openEngine();
  tf = await loadTensorFlow();
  model = createCausalLM(engine.ops, weights);
});

const score = (scorer: ScorerName, change: Parameters<typeof tinyScoring>[3] = {}) =>
  scoreChannels(tinyScoring(engine, model, scorer, change));

/** Gradient of the mean token loss of a unit, of each linear. */
function denseGradients(unit: readonly EncodedExample[]): ReadonlyMap<string, Float32Array> {
  const labelled = unit.reduce((sum, example) => sum + labelledTokens(example), 0);
  const { gradients } = denseLossAndGradients(tf, weights, collate(unit));
  return new Map(Array.from(gradients, ([name, gradient]) => [name, gradient.map((g) => g / labelled)]));
}
const batchesOf = (seed: number) => [order(seed).slice(0, 2), order(seed).slice(2, 4), order(seed).slice(4)];

function matrixOf({ tensor, rowOffset, outFeatures, inFeatures }: LinearInfo): Float32Array {
  return (weights.tensors.get(tensor) as Float32Array).subarray(rowOffset * inFeatures, (rowOffset + outFeatures) * inFeatures);
}

/** Sums over rows and columns of entry(w, e). */
function sums({ outFeatures, inFeatures }: LinearInfo, entry: (e: number) => number) {
  const found = { out: new Array<number>(outFeatures).fill(0), in: new Array<number>(inFeatures).fill(0) };
  for (let i = 0; i < outFeatures; i++)
    for (let j = 0; j < inFeatures; j++) {
      const value = entry(i * inFeatures + j);
      found.out[i] = (found.out[i] as number) + value;
      found.in[j] = (found.in[j] as number) + value;
    }
  return found;
}

function expectScores(
  scores: ScoreMatrix,
  expected: (linear: LinearInfo) => { readonly out: readonly number[]; readonly in: readonly number[] },
) {
  expect([...scores.keys()]).toEqual(model.linears.map(({ name }) => name));
  for (const linear of model.linears) {
    const wanted = expected(linear);
    for (const axis of ['out', 'in'] as const) {
      const own = scores.get(linear.name)?.[axis] as Float32Array;
      expect(own.length).toBe(wanted[axis].length);
      const largest = Math.max(...wanted[axis]);
      for (const [i, value] of wanted[axis].entries())
        expect(Math.abs((own[i] as number) - value) / largest, `${linear.name} ${axis} ${i}`).toBeLessThan(2e-5);
    }
  }
}

describe('scores equal their formulas over gradients of a dense model', () => {
  it('taylor: signed sums over batches; the same bits however many passes the memory allows', async () => {
    const { scores, batches } = await score('taylor');
    expect(batches).toBe(3);
    const gradients = batchesOf(9).map(denseGradients);
    expectScores(scores, (linear) => {
      const w = matrixOf(linear);
      return sums(linear, (e) =>
        Math.abs((w[e] as number) * gradients.reduce((sum, g) => sum + ((g.get(linear.name) as Float32Array)[e] as number), 0)),
      );
    });
    const linear = model.linears[0] as LinearInfo;
    const oneMatrix = linear.outFeatures * linear.inFeatures * 4;
    expect(passesOf(model.linears, oneMatrix).length).toBeGreaterThan(5);
    const many = await scoreChannels({ ...tinyScoring(engine, model, 'taylor'), memoryBytes: oneMatrix });
    expect(scoresText(many.scores)).toBe(scoresText(scores));
  });

  it('taylor_multivariable: the absolute value of each channel', async () => {
    const { scores } = await score('taylor_multivariable');
    const gradients = batchesOf(9).map(denseGradients);
    expectScores(scores, (linear) => {
      const w = matrixOf(linear);
      const signed = sums(
        linear,
        (e) => (w[e] as number) * gradients.reduce((sum, g) => sum + ((g.get(linear.name) as Float32Array)[e] as number), 0),
      );
      return { out: signed.out.map(Math.abs), in: signed.in.map(Math.abs) };
    });
  });

  it('fisher and taylor2: one example is one sample', async () => {
    const samples = order(9).map((example) => denseGradients([example]));
    const at = ({ name }: LinearInfo, e: number) => samples.map((g) => (g.get(name) as Float32Array)[e] as number);
    const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
    expectScores((await score('fisher')).scores, (linear) => {
      const w = matrixOf(linear);
      return sums(linear, (e) => (w[e] as number) ** 2 * mean(at(linear, e).map((g) => g * g)));
    });
    expectScores((await score('taylor2')).scores, (linear) => {
      const w = matrixOf(linear);
      return sums(linear, (e) => {
        const g = at(linear, e);
        return Math.abs(-(w[e] as number) * mean(g) + ((w[e] as number) ** 2 * mean(g.map((v) => v * v))) / 2);
      });
    });
  });

  it('wanda: norms of inputs over all tokens, prompts too, padding not', async () => {
    const squares = order(9).map(({ ids }) => denseInputSquares(tf, weights, ids));
    expectScores((await score('wanda')).scores, (linear) => {
      const w = matrixOf(linear);
      const norm = (j: number) => Math.sqrt(squares.reduce((sum, s) => sum + ((s.get(linear.name) as Float32Array)[j] as number), 0));
      return sums(linear, (e) => Math.abs(w[e] as number) * norm(e % linear.inFeatures));
    });
  });

  it('zo_taylor: with many directions nearer to taylor than noise is', async () => {
    const few = { layers: [1, 1] as [number, number], targets: ['o_proj' as const], zo_splits: 1, calibration_batches: 1 };
    const [truth, estimate] = [await score('taylor', few), await score('zo_taylor', { ...few, zo_estimates: 400 })];
    const [name] = truth.scores.keys();
    const rows = [truth, estimate].map(({ scores }) => scores.get(name as string)?.out as Float32Array);
    const [a, b] = rows as [Float32Array, Float32Array];
    const centred = (v: Float32Array) => v.map((x) => x - v.reduce((sum, y) => sum + y, 0) / v.length);
    const dot = (u: Float32Array, v: Float32Array) => u.reduce((sum, x, i) => sum + x * (v[i] as number), 0);
    const [ca, cb] = [centred(a), centred(b)];
    expect(dot(ca, cb) / Math.sqrt(dot(ca, ca) * dot(cb, cb))).toBeGreaterThan(0.5);
  });
});

describe('every scorer', () => {
  const names: readonly ScorerName[] = ['l1', 'l2', 'random', 'wanda', 'taylor', 'taylor_multivariable', 'fisher', 'taylor2', 'zo_taylor'];

  it.each(names)('%s: leaves the weights as they were, bit for bit, and no handle behind', async (scorer) => {
    const bits = () =>
      model.linears.map((linear) => Buffer.from(model.readRows(linear, allRows(linear)).slice().buffer).toString('base64')).join();
    await score(scorer);
    const before = { weights: bits(), handles: engine.handleCount() };
    await score(scorer);
    expect({ weights: bits(), handles: engine.handleCount() }).toEqual(before);
  });

  it('gives the same bits in another process', async () => {
    const texts: string[] = [];
    for (const scorer of names) texts.push(scoresText((await score(scorer)).scores));
    const other = await runInNewProcess(new URL('./testing/tiny-scoring.ts', import.meta.url), 'allScores', names.join());
    expect(other.split('\n')).toEqual(texts);
  });

  it('scores a linear alike whichever others are chosen', async () => {
    for (const scorer of names) {
      const all = (await score(scorer, { zo_estimates: 1 })).scores;
      const some = (await score(scorer, { targets: ['v_proj'], layers: [0, 0] })).scores;
      expect([...some.keys()]).toEqual(['model.layers.0.self_attn.v_proj']);
      // zo_taylor moves all chosen linears at once.
      if (scorer !== 'zo_taylor') expect(some.get('model.layers.0.self_attn.v_proj')).toEqual(all.get('model.layers.0.self_attn.v_proj'));
    }
  });

  it('reports progress and stops between batches', async () => {
    for (const scorer of names) {
      const seen: (readonly [number, number])[] = [];
      await scoreChannels({ ...tinyScoring(engine, model, scorer), onProgress: (...progress) => void seen.push(progress) });
      expect(seen.length).toBeGreaterThan(0);
      expect(seen.every(([done, total]) => done < total)).toBe(true);
      const stop = new AbortController();
      const stopped = scoreChannels({ ...tinyScoring(engine, model, scorer), signal: stop.signal, onProgress: () => stop.abort() });
      if (seen.length > 1) await expect(stopped, scorer).rejects.toMatchObject({ code: 'aborted' });
      else await stopped;
    }
    const before = engine.handleCount();
    const stop = new AbortController();
    const late = { signal: stop.signal, onProgress: (done: number) => void (done === 1 && stop.abort()) };
    await expect(scoreChannels({ ...tinyScoring(engine, model, 'taylor'), ...late })).rejects.toMatchObject({ code: 'aborted' });
    expect(engine.handleCount()).toBe(before);
  });
});

describe('calibration', () => {
  it('takes no more batches than asked for, and no more than there are', async () => {
    expect((await score('taylor', { calibration_batches: 2 })).batches).toBe(2);
    expect((await score('taylor', { calibration_batches: 100 })).batches).toBe(3);
  });

  it('refuses zo_taylor with fewer batches than splits', async () => {
    await expect(score('zo_taylor', { zo_splits: 4 })).rejects.toMatchObject({ code: 'invalid_options', param: 'row_sparse.zo_splits' });
  });

  it('refuses data without a label that counts', async () => {
    const silent = examples.map(({ ids }) => ({ ids, labels: ids.map(() => -100) }));
    await expect(scoreChannels({ ...tinyScoring(engine, model, 'taylor'), examples: silent })).rejects.toMatchObject({
      code: 'no_labelled_tokens',
    });
  });
});

const allRows = ({ outFeatures }: LinearInfo) => Int32Array.from({ length: outFeatures }, (_, row) => row);
