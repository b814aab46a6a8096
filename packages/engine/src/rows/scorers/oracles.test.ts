/** Scorers on matrices small enough to compute by hand: W [3, 4], two samples x (the rows of X) with output gradients (the rows of G). */
import { beforeAll, describe, expect, it } from 'vitest';
import { type Engine, openEngine } from '../../engine.js';
import type { LinearInfo } from '../../models/causal-lm.js';
import { createCausalLM } from '../../models/decoder.js';
import { tinyModel } from '../../models/tiny-model.js';
import type { Handle } from '../../runtime/handle.js';
import type { ChannelScores } from '../score-matrix.js';
import { selectLargest } from '../select.js';
import { ChannelTotals } from './channel-sums.js';
import { fisherScores } from './fisher.js';
import { normScores } from './norm.js';
import { signedTaylorScores, taylorScores } from './taylor.js';
import { taylor2Scores, taylor2Term } from './taylor2.js';
import { wandaScores } from './wanda.js';

const W = [1, -2, 3, 0, 0.5, 0.5, -0.5, 1, 2, 0, 1, -1];
const X = [
  [1, 2, 0, -1],
  [0, 1, 1, 2],
];
const G = [
  [1, 0, -1],
  [2, 1, 0],
];
/** Gradient of one sample: outer product of its output gradient and its input, [3, 4]. */
const ofSample = (s: number): number[] => (G[s] as number[]).flatMap((g) => (X[s] as number[]).map((x) => g * x));
const full = ofSample(0).map((g, e) => g + (ofSample(1)[e] as number));

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
});
const matrix = (values: readonly number[]): Handle => engine.ops.runtime.upload(Float32Array.from(values), [3, 4], 'f32');
const scoped = <T>(body: () => T): T => engine.ops.runtime.scope(body);
const plain = (scores: ChannelScores) => ({ out: Array.from(scores.out), in: Array.from(scores.in) });
const toy: LinearInfo = { name: 'toy', layer: 0, target: 'v_proj', tensor: 'toy', rowOffset: 0, outFeatures: 3, inFeatures: 4 };

it('the full gradient of the toy', () => expect(full).toEqual([1, 4, 2, 3, 0, 1, 1, 2, -1, -2, 0, 1]));

it.each([
  [1, { out: [6, 2.5, 4], in: [3.5, 2.5, 4.5, 2] }],
  [2, { out: [14, 1.75, 6], in: [5.25, 4.25, 10.25, 2] }],
] as const)('l%i: sums of |w|^p without the root', (power, expected) => {
  const model = { ...createCausalLM(engine.ops, tinyModel(1)), readMatrix: () => matrix(W) };
  const scores = scoped(() => normScores(power)({ ops: engine.ops, model, seed: 0 }, toy));
  expect(plain(scores)).toEqual(expected);
  if (power === 2) {
    expect([1, 2].map((k) => [...selectLargest(scores.out, k)])).toEqual([[0], [0, 2]]);
    expect([...selectLargest(scores.in, 2)]).toEqual([0, 2]);
  }
});

describe('Taylor', () => {
  const scores = (gradient: readonly number[]) => scoped(() => taylorScores(engine.ops, matrix(W), matrix(gradient)));

  it('sums |w g| over rows and columns; a tie goes to the lower row', () => {
    expect(plain(scores(full))).toEqual({ out: [15, 3, 3], in: [3, 8.5, 6.5, 3] });
    expect([1, 2].map((k) => [...selectLargest(scores(full).out, k)])).toEqual([[0], [0, 1]]);
  });

  it('multivariable: the absolute value of the whole channel chooses another row', () => {
    const signed = scoped(() => signedTaylorScores(engine.ops, matrix(W), matrix(full)));
    const totals = new ChannelTotals(toy);
    totals.add(signed);
    const multivariable = totals.map(Math.abs);
    expect(plain(multivariable)).toEqual({ out: [1, 2, 3], in: [1, 7.5, 5.5, 1] });
    expect([...selectLargest(multivariable.out, 1)]).toEqual([2]);
  });

  it('gradients of batches are added with their signs: equal ones double the scores, opposite ones leave none', () => {
    expect(plain(scores(full.map((g) => g + g)))).toEqual({ out: [30, 6, 6], in: [6, 17, 13, 6] });
    expect(plain(scores(full.map((g) => g - g)))).toEqual({ out: [0, 0, 0], in: [0, 0, 0, 0] });
  });
});

it('Fisher: the mean over samples of squared gradients, not the last sample alone', () => {
  const totals = new ChannelTotals(toy);
  for (const s of [0, 1]) totals.add(scoped(() => fisherScores(engine.ops, matrix(W), matrix(ofSample(s)))));
  const scores = totals.map((sum) => sum / 2);
  expect(Array.from(scores.out)).toEqual([34.5, 2.25, 2.5]); // the last sample alone: 52, 4.5, 0
  expect(scores.in.reduce((sum, v) => sum + v, 0)).toBe(39.25);
});

it('second order: the textbook sign and factor', () => {
  const scores = scoped(() => {
    const sum = engine.ops.add(
      taylor2Term(engine.ops, matrix(W), matrix(ofSample(0))),
      taylor2Term(engine.ops, matrix(W), matrix(ofSample(1))),
    );
    return taylor2Scores(engine.ops, matrix(W), sum, 2);
  });
  expect(Array.from(scores.out)).toEqual([18.25, 0.5, 2.75]); // published code: 34, 3.5, 1
});

it('Wanda: |w| times the norm of its input, not the square of the norm', () => {
  const norms = Float32Array.from({ length: 4 }, (_, j) => Math.hypot(...X.map((x) => x[j] as number)));
  const scores = scoped(() => wandaScores(engine.ops, matrix(W), engine.ops.runtime.upload(norms, [4], 'f32')));
  const root5 = Math.sqrt(5);
  for (const [i, expected] of [4 + 2 * root5, 1 + 1.5 * root5, 3 + root5].entries()) expect(scores.out[i]).toBeCloseTo(expected, 5);
  for (const [j, expected] of [3.5, 2.5 * root5, 4.5, 2 * root5].entries()) expect(scores.in[j]).toBeCloseTo(expected, 5);
  expect([...selectLargest(scores.out, 2)]).toEqual([0, 2]); // the squared form: 0 and 1
});
