import { describe, expect, it } from 'vitest';
import type { LinearInfo } from '../models/causal-lm.js';
import { linearsOf } from '../models/layout.js';
import { tinyConfig } from '../models/tiny-model.js';
import { philox } from '../runtime/philox.js';
import { type Pool, poolScores } from './channel-pools.js';
import { modulesOf, planChannels } from './plan-channels.js';
import type { RowChoice } from './row-choice.js';
import { rowCount } from './row-count.js';
import type { ScoreMatrix } from './score-matrix.js';
import { selectLargest } from './select.js';

/** tinyConfig: C 20, F 28, 6 heads in 2 groups of D 6, 2 layers. */
const model = { linears: linearsOf(tinyConfig), config: tinyConfig };
const all: RowChoice = {
  rows: 3,
  scorer: 'l2',
  targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  layers: [0, 1],
};
const randomScores = (seed: number): ScoreMatrix =>
  new Map(
    model.linears.map(({ name, outFeatures, inFeatures }) => [
      name,
      {
        out: philox(seed, `out ${name}`, 0).fill(new Float32Array(outFeatures), 0, 1),
        in: philox(seed, `in ${name}`, 0).fill(new Float32Array(inFeatures), 0, 1),
      },
    ]),
  );
const scores = randomScores(1);
const raise = (changes: Readonly<Record<string, { out?: readonly number[]; in?: readonly number[] }>>): ScoreMatrix =>
  new Map(
    model.linears.map(({ name, outFeatures, inFeatures }) => {
      const [out, columns] = [new Float32Array(outFeatures).fill(1), new Float32Array(inFeatures).fill(1)];
      for (const i of changes[name]?.out ?? []) out[i] = 9;
      for (const j of changes[name]?.in ?? []) columns[j] = 9;
      return [name, { out, in: columns }];
    }),
  );
const linear = (name: string) => model.linears.find((candidate) => candidate.name === `model.layers.${name}`) as LinearInfo;
const of = (plan: ReturnType<typeof planChannels>, name: string) => {
  const module = plan.modules.find((candidate) => candidate.name === `model.layers.${name}`);
  return { rows: [...(module?.indices ?? [])], columns: [...(module?.columns ?? [])] };
};

describe('a pair of layers with a ReLU between them, by hand', () => {
  /** A [4, 3], then B [2, 4]; l2 scores of A's rows and B's columns. */
  const layer1 = { name: 'a', outFeatures: 4, inFeatures: 3 } as LinearInfo;
  const layer2 = { name: 'b', outFeatures: 2, inFeatures: 4 } as LinearInfo;
  const one = (unit: number) => [unit];
  const pool: Pool = {
    name: 'hidden neurons',
    units: 4,
    members: [
      { linear: layer1, axis: 'out', channels: one },
      { linear: layer2, axis: 'in', channels: one },
    ],
  };
  const sums = (matrix: readonly (readonly number[])[]) => ({
    out: Float32Array.from(matrix, (row) => row.reduce((sum, w) => sum + w * w, 0)),
    in: Float32Array.from(matrix[0] ?? [], (_, j) => matrix.reduce((sum, row) => sum + (row[j] as number) ** 2, 0)),
  });
  const l2: ScoreMatrix = new Map([
    [
      'a',
      sums([
        [1, 0, 2],
        [0, 1, 0],
        [3, 1, 0],
        [1, 1, 1],
      ]),
    ],
    [
      'b',
      sums([
        [1, 2, 0, 0],
        [0, 1, 1, 2],
      ]),
    ],
  ]);

  it('scores are the mean of row and column, then divided by their mean', () => {
    expect([...(l2.get('a')?.out ?? [])]).toEqual([5, 1, 10, 3]);
    expect([...(l2.get('b')?.in ?? [])]).toEqual([1, 5, 1, 4]);
    poolScores(pool, l2).forEach((score, i) => {
      expect(score).toBeCloseTo([0.8, 0.8, 1.466667, 0.933333][i] as number, 6);
    });
  });

  it.each([
    [{ ratio: 0.5, round_to: 1 }, [2, 3]],
    [1, [2]],
  ])('rows %j trains rows of A and columns of B at %j', (rows, expected) => {
    const units = selectLargest(poolScores(pool, l2), rowCount(rows, 4));
    const modules = modulesOf([layer1, layer2], [pool], [units]);
    expect(modules).toEqual([
      { ...layer1, indices: Int32Array.from(expected) },
      { ...layer2, indices: new Int32Array(0), columns: Int32Array.from(expected) },
    ]);
  });
});

describe('columns', () => {
  it('of each matrix its k best, by its own scores', () => {
    const { modules } = planChannels(model, { ...all, channels: 'in' }, scores);
    expect(modules).toHaveLength(14);
    for (const { name, indices, columns } of modules) {
      expect(indices).toHaveLength(0);
      expect(columns).toEqual(selectLargest(scores.get(name)?.in ?? [], 3));
    }
  });

  it('and rows: as many of each', () => {
    const { modules } = planChannels(model, { ...all, channels: 'both' }, scores);
    for (const { name, indices, columns } of modules) {
      expect(indices).toEqual(selectLargest(scores.get(name)?.out ?? [], 3));
      expect(columns).toEqual(selectLargest(scores.get(name)?.in ?? [], 3));
    }
  });

  it('globally: the best of all rows and columns, k for each of them on average; a matrix may have none', () => {
    const high = raise({ '0.self_attn.o_proj': {} });
    const plan = planChannels(
      model,
      { ...all, rows: 1, layers: [1, 1], targets: ['v_proj', 'o_proj'], channels: 'both', selection: 'global' },
      high,
    );
    // All scores are equal: ties go to the earlier pool, the rows of v_proj, and the lower index.
    expect(plan.modules.map(({ target, indices }) => [target, [...indices]])).toEqual([['v_proj', [0, 1, 2, 3]]]);
  });
});

describe('coupled', () => {
  it('a feed-forward neuron is a row of gate, a row of up and a column of down', () => {
    const name = (target: string) => `model.layers.1.mlp.${target}`;
    const plan = planChannels(
      model,
      { ...all, rows: 2, channels: 'coupled' },
      raise({ [name('up_proj')]: { out: [4] }, [name('down_proj')]: { in: [27] } }),
    );
    expect(of(plan, '1.mlp.gate_proj')).toEqual({ rows: [4, 27], columns: [] });
    expect(of(plan, '1.mlp.up_proj')).toEqual({ rows: [4, 27], columns: [] });
    expect(of(plan, '1.mlp.down_proj')).toEqual({ rows: [], columns: [4, 27] });
    expect(of(plan, '0.mlp.down_proj')).toEqual({ rows: [], columns: [0, 1] });
  });

  it('a value dimension is a row of v and the columns of o of all heads that share it', () => {
    // Head 4 belongs to key/value head 1: column 4*6 + 2 of o goes with row 6 + 2 of v.
    const plan = planChannels(model, { ...all, rows: 1, channels: 'coupled' }, raise({ 'model.layers.0.self_attn.o_proj': { in: [26] } }));
    expect(of(plan, '0.self_attn.v_proj')).toEqual({ rows: [8], columns: [] });
    expect(of(plan, '0.self_attn.o_proj')).toEqual({ rows: [], columns: [3 * 6 + 2, 4 * 6 + 2, 5 * 6 + 2] });
  });

  it('a dimension of the scores is the two rotated rows of k and those of all heads of its group in q', () => {
    // Row 1*6 + 5 of k: pair (2, 5) of key/value head 1.
    const plan = planChannels(model, { ...all, rows: 1, channels: 'coupled' }, raise({ 'model.layers.0.self_attn.k_proj': { out: [11] } }));
    expect(of(plan, '0.self_attn.k_proj')).toEqual({ rows: [8, 11], columns: [] });
    expect(of(plan, '0.self_attn.q_proj')).toEqual({ rows: [20, 23, 26, 29, 32, 35], columns: [] });
  });

  it('a dimension that does not rotate stands alone', () => {
    const config = { ...tinyConfig, ropes: [{ theta: 1e4, dim: 2 }] };
    const choice: RowChoice = { ...all, rows: 2, targets: ['k_proj'], layers: [0, 0], channels: 'coupled' };
    const plan = planChannels({ ...model, config }, choice, raise({ 'model.layers.0.self_attn.k_proj': { out: [7, 10] } }));
    // Head 1: dimensions 0 and 1 rotate together; 4 is a unit alone, whose mean of 9 beats the pair's 5.
    expect(of(plan, '0.self_attn.k_proj')).toEqual({ rows: [6, 7, 10], columns: [] });
  });

  it('what the targets leave out stays frozen and does not count', () => {
    const down = 'model.layers.0.mlp.down_proj';
    const changed = raise({ [down]: { in: [5] }, 'model.layers.0.mlp.gate_proj': { out: [7] } });
    const plan = planChannels(model, { ...all, rows: 1, layers: [0, 0], targets: ['up_proj', 'down_proj'], channels: 'coupled' }, changed);
    expect(plan.modules.map(({ name }) => name)).toEqual([linear('0.mlp.up_proj').name, down]);
    expect(of(plan, '0.mlp.up_proj').rows).toEqual([5]);
  });
});

describe('refused', () => {
  it.each<[Partial<RowChoice>, string, string, RegExp]>([
    [{ rows: 37 }, 'invalid_rows', 'row_sparse.rows', /rows 37: the largest choice is of 36/],
    [{ rows: { ratio: 0.01 } }, 'no_rows_selected', 'row_sparse.rows', /selects nothing/],
    [{ head_groups: true }, 'invalid_options', 'row_sparse.head_groups', /need channels 'out', not 'in'/],
    [{ heads: 0.5 }, 'invalid_options', 'row_sparse.heads', /need channels 'out'/],
    [{ layers: [1, 2] }, 'invalid_layers', 'row_sparse.layers', /within \[0, 1\]/],
  ])('%j', (change, code, param, message) => {
    const plan = () => planChannels(model, { ...all, channels: 'in', ...change }, scores);
    expect(plan).toThrow(message);
    expect(plan).toThrow(expect.objectContaining({ code, param, errorClass: 'precheck' }));
  });

  it('a score that is not finite, by the name of its group', () => {
    const broken = new Map(scores);
    const name = 'model.layers.0.mlp.down_proj';
    broken.set(name, { out: new Float32Array(20), in: new Float32Array(28).fill(Number.NaN) });
    expect(() => planChannels(model, { ...all, channels: 'coupled' }, broken)).toThrow(
      /the feed-forward neurons of layer 0: a l2 score is not finite/,
    );
  });
});
