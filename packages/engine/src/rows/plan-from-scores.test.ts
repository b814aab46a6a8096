/** Global and head-wise selection: counts, ties, faults. The model here is only its description. */
import { targetNames } from '@rowsmith/contracts';
import { describe, expect, it } from 'vitest';
import { EngineError } from '../errors.js';
import type { LinearInfo } from '../models/causal-lm.js';
import { linearsOf } from '../models/layout.js';
import { tinyConfig } from '../models/tiny-model.js';
import { planFromScores } from './plan-from-scores.js';
import type { RowChoice } from './row-choice.js';
import type { ScoreMatrix } from './score-matrix.js';
import { selectGlobally } from './select-globally.js';
import { selectHeads } from './select-heads.js';

const linears = linearsOf(tinyConfig);
const model = { config: tinyConfig, linears };
const scoresOf = (score: (linear: LinearInfo, row: number) => number): ScoreMatrix =>
  new Map(
    linears.map((linear) => [
      linear.name,
      { out: Float32Array.from({ length: linear.outFeatures }, (_, row) => score(linear, row)), in: new Float32Array(linear.inFeatures) },
    ]),
  );
const choice = (change: Partial<RowChoice>): RowChoice => ({ rows: 2, scorer: 'l2', targets: [...targetNames], layers: [0, 1], ...change });
const plan = (change: Partial<RowChoice>, scores: ScoreMatrix) =>
  Object.fromEntries(
    planFromScores(model, choice(change), scores).modules.map(({ layer, target, indices }) => [`${layer}.${target}`, [...indices]]),
  );
const count = (rows: Record<string, readonly number[]>) => Object.values(rows).reduce((sum, { length }) => sum + length, 0);
/** Rows of all linears of the tiny model: 2 layers of 36 + 12 + 12 + 20 + 28 + 28 + 20. */
const total = 312;
const varied = scoresOf(({ layer, inFeatures }, row) => ((row * 37 + layer * 11 + inFeatures) % 101) + 1);

describe('global selection', () => {
  it('takes the best of all matrices; equals go to the earlier matrix, then the lower row', () => {
    expect(selectGlobally([[1, 5, 5], [5, 0], [9]], 4).map((rows) => [...rows])).toEqual([[1, 2], [0], [0]]);
    expect(selectGlobally([[1, 5, 5], [5, 0], [9]], 2).map((rows) => [...rows])).toEqual([[1], [], [0]]);
  });

  it.each([0.05, 0.1, 0.29, 0.5, 1])('ratio %f: exactly floor(ratio x all rows), without rounding', (ratio) => {
    expect(count(plan({ selection: 'global', rows: { ratio } }, varied))).toBe(Math.floor(ratio * total + 1e-9));
  });

  it('a number: as many a matrix on average, never more than there are', () => {
    expect(count(plan({ selection: 'global', rows: 3 }, varied))).toBe(3 * 14);
    expect(count(plan({ selection: 'global', rows: 1000 }, varied))).toBe(total);
  });

  it('counts only the chosen matrices', () => {
    const rows = plan({ selection: 'global', rows: { ratio: 0.5 }, targets: ['o_proj'], layers: [1, 1] }, varied);
    expect(Object.keys(rows)).toEqual(['1.o_proj']);
    expect(count(rows)).toBe(10);
  });

  it('compares scores divided by their matrix mean: a matrix of large weights has no advantage, an even one gives nothing', () => {
    const scores = scoresOf(({ layer, target }, row) => {
      if (target === 'down_proj') return 1000;
      return row === 3 ? (layer === 0 ? 50 : 5e6) : layer === 0 ? 1 : 1e5;
    });
    const rows = plan({ selection: 'global', rows: { ratio: 12 / total + 1e-6 } }, scores);
    expect(rows).toEqual(
      Object.fromEntries([0, 1].flatMap((layer) => targetNames.slice(0, 6).map((target) => [`${layer}.${target}`, [3]]))),
    );
  });
});

describe('heads', () => {
  it('head_groups: every head of q, k and v gives as many; other matrices choose freely', () => {
    const rows = plan(
      { head_groups: true, rows: 6 },
      scoresOf((_linear, row) => row + 1),
    );
    // Six query heads of 6 rows, two of keys and values. 6 rows: 1 of each query head, 3 of the others.
    expect(rows['0.q_proj']).toEqual([5, 11, 17, 23, 29, 35]);
    expect(rows['0.k_proj']).toEqual([3, 4, 5, 9, 10, 11]);
    expect(rows['1.v_proj']).toEqual([3, 4, 5, 9, 10, 11]);
    expect(rows['0.up_proj']).toEqual([22, 23, 24, 25, 26, 27]);
  });

  it('head_groups with a ratio: what stays frozen in a head is rounded down to multiples of 4 unless told', () => {
    const scores = scoresOf((_linear, row) => row + 1);
    // 0.5 x 36 = 18 -> 16; frozen a head floor(20 / 6) = 3 -> 0 in fours, 2 in twos.
    expect(plan({ head_groups: true, rows: { ratio: 0.5 } }, scores)['0.q_proj']).toHaveLength(36);
    expect(plan({ head_groups: true, rows: { ratio: 0.5, round_to: 2 } }, scores)['0.q_proj']).toHaveLength(24);
  });

  it('heads: whole heads by their mean score; other matrices as `rows` says', () => {
    expect([...selectHeads([1, 9, 4, 4, 5, 5], 3, 0.34)]).toEqual([0, 1]); // means 5, 4, 5: a tie
    expect([...selectHeads([1, 1, 4, 4, 5, 5], 3, 0.67)]).toEqual([2, 3, 4, 5]);
    const rows = plan(
      { heads: 0.5 },
      scoresOf((_linear, row) => row + 1),
    );
    expect(rows['0.q_proj']).toEqual(Array.from({ length: 18 }, (_, i) => 18 + i));
    expect(rows['0.v_proj']).toEqual([6, 7, 8, 9, 10, 11]);
    expect(rows['0.o_proj']).toHaveLength(2);
    // Less than one head: the matrix stays frozen.
    expect(plan({ heads: 0.2 }, varied)).not.toHaveProperty('0.k_proj');
  });
});

describe('faults', () => {
  it.each([
    [{ selection: 'global', head_groups: true }, 'invalid_options', 'row_sparse.head_groups'],
    [{ selection: 'global', heads: 0.5 }, 'invalid_options', 'row_sparse.heads'],
    [{ head_groups: true, heads: 0.5 }, 'invalid_options', 'row_sparse.heads'],
    [{ selection: 'global', rows: { ratio: 0.001 } }, 'no_rows_selected', 'row_sparse.rows'],
  ] as const)('%j', (change, code, param) => {
    const refused = () => planFromScores(model, choice(change as Partial<RowChoice>), varied);
    expect(refused).toThrow(EngineError);
    expect(refused).toThrow(expect.objectContaining({ errorClass: 'precheck', code, param }));
  });

  it('scores of another model or with damage are refused', () => {
    const [name, channels] = [...varied][0] as [string, { out: Float32Array; in: Float32Array }];
    const short = new Map(varied).set(name, { ...channels, out: channels.out.slice(1) });
    expect(() => planFromScores(model, choice({}), short)).toThrow(expect.objectContaining({ code: 'checkpoint_mismatch' }));
    const damaged = new Map(varied).set(name, { ...channels, out: channels.out.map((v, i) => (i === 4 ? Number.NaN : v)) });
    expect(() => planFromScores(model, choice({}), damaged)).toThrow(expect.objectContaining({ code: 'invalid_model' }));
  });
});
