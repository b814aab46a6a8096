/** Rows of an encoder: shared choices of attention, dependency groups, whole heads. */
import { beforeAll, expect, it } from 'vitest';
import { type Engine, openEngine } from '../engine.js';
import type { SequenceClassifier } from '../models/causal-lm.js';
import { createClassifier } from '../models/encoder.js';
import { encoderFixture, fixtureConfig } from '../testing/encoder-fixture.js';
import { planFromScores } from './plan-from-scores.js';
import { planRows } from './plan-rows.js';
import type { RowChoice } from './row-choice.js';
import { rowTensors } from './row-tensors.js';
import { scoreChannels } from './score-channels.js';
import type { ScoreMatrix } from './score-matrix.js';

let engine: Engine;
let model: SequenceClassifier;
beforeAll(async () => {
  engine = await openEngine();
  model = createClassifier(engine.ops, encoderFixture().model);
});
const choice: RowChoice = { rows: 2, scorer: 'l2', targets: ['q_proj', 'k_proj', 'v_proj'], layers: [1, 1] };
const rowsOf = (asked: RowChoice, scores: ScoreMatrix) =>
  planFromScores(model, asked, scores).modules.map(({ name, indices }) => [name.replace('bert.encoder.layer.', ''), Array.from(indices)]);
const scored = (rows: Record<string, (row: number) => number>): ScoreMatrix =>
  new Map(
    Object.entries(rows).map(([part, score]) => [
      `bert.encoder.layer.1.attention.self.${part}`,
      { out: Float32Array.from({ length: 24 }, (_, row) => score(row)), in: new Float32Array(24).fill(1) },
    ]),
  );
const whole = [
  ['bert.pooler.dense', Array.from({ length: 24 }, (_, i) => i)],
  ['classifier', [0, 1, 2]],
];

it('q, k and v share the rows with the largest (I_q + I_k + I_v) / 3 of normalised scores; heads of the classifier are always whole', () => {
  // Means 1, 10 and 1: after normalisation row 5 has 3 + 1 + 1, row 7 has 1 + 5.5 + 1 and row 9 has 1 + 1 + 4 (about).
  const peak = (base: number, at: number, height: number) => (row: number) => (row === at ? base * height : base);
  const scores = scored({ query: peak(1, 5, 3), key: peak(10, 7, 5.5), value: peak(1, 9, 4) });
  const own = rowsOf(choice, scores).slice(0, 3);
  expect(own.map(([, rows]) => rows)).toEqual([
    [0, 5],
    [0, 7],
    [0, 9],
  ]);
  const shared = rowsOf({ ...choice, attention_rows: 'shared' }, scores);
  expect(shared.slice(0, 3).map(([, rows]) => rows)).toEqual([
    [7, 9],
    [7, 9],
    [7, 9],
  ]);
  expect(shared.slice(3)).toEqual(whole);
  // Four heads of six rows: each gives as many, at least two in all.
  const groups = rowsOf({ ...choice, attention_rows: 'shared', head_groups: true }, scores);
  expect(groups[0]?.[1]).toEqual([5, 7, 12, 18]);
});

it('refuses shared rows that cannot be', () => {
  const scores = scored({ query: () => 1, key: () => 1, value: () => 1 });
  const refused = (change: Partial<RowChoice>) => () => rowsOf({ ...choice, attention_rows: 'shared', ...change }, scores);
  expect(refused({ targets: ['q_proj', 'k_proj'] })).toThrow(/all three must be targets/);
  expect(refused({ selection: 'global' })).toThrow(/layer by layer/);
  expect(refused({ targets: ['gate_proj'] })).toThrow(
    /no linear called gate_proj; it has q_proj, k_proj, v_proj, o_proj, up_proj, down_proj/,
  );
});

it('dependency groups: rows of q with k, of v with columns of o, rows of up with columns of down', () => {
  const asked: RowChoice = { ...choice, channels: 'coupled', targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'up_proj', 'down_proj'] };
  const { modules } = planRows(engine, model, asked, 1);
  const parts = new Map(modules.map(({ target, indices, columns }) => [target, { rows: indices.join(), columns: columns?.join() }]));
  expect(parts.get('q_proj')).toEqual(parts.get('k_proj'));
  expect(parts.get('o_proj')).toEqual({ rows: '', columns: parts.get('v_proj')?.rows });
  expect(parts.get('down_proj')).toEqual({ rows: '', columns: parts.get('up_proj')?.rows });
  expect(parts.get('up_proj')?.rows.split(',')).toHaveLength(2);
});

it('only what is written needs memory of its own: chosen matrices and the heads', () => {
  expect(rowTensors(fixtureConfig, { targets: ['k_proj'], layers: [0, 0] }).sort()).toEqual(
    ['classifier', 'classifier_bias', 'layers.0.qkv', 'pooler', 'pooler_bias'].sort(),
  );
});

it.each(['wanda', 'taylor', 'taylor_multivariable', 'fisher', 'taylor2', 'zo_taylor'] as const)(
  '%s: padding adds nothing to a score',
  async (scorer) => {
    const { batch } = encoderFixture();
    const examples = Array.from(batch.sequences?.classes ?? [], (label, row) => {
      const start = row * batch.length;
      const cut = (values: Int32Array | undefined) =>
        (values ?? new Int32Array(0)).slice(start, start + (batch.sequences?.counts[row] ?? 0));
      return { ids: cut(batch.ids), labels: cut(batch.labels), types: cut(batch.sequences?.types), label };
    });
    const config = {
      ...{
        scorer,
        targets: ['k_proj' as const, 'down_proj' as const],
        layers: [0, 1] as [number, number],
        calibration_batches: 4,
        scoring_memory_mb: 0,
      },
      ...{ zo_estimates: 1, zo_splits: 1, zo_eps: 1e-2 },
    };
    const scores = async (batchSize: number) => (await scoreChannels({ engine, model, config, seed: 4, examples, batchSize })).scores;
    const [together, alone] = [await scores(4), await scores(1)];
    for (const [name, { out }] of together) {
      expect(out.every((score) => Number.isFinite(score))).toBe(true);
      expect(new Set(out).size, name).toBeGreaterThan(12);
      // Sums over tokens or examples; those over batch means are four times as large one by one.
      const factor = scorer.startsWith('taylor') && scorer !== 'taylor2' ? 4 : 1;
      if (scorer === 'zo_taylor') continue;
      for (const [row, score] of (alone.get(name)?.out ?? []).entries())
        expect(score / factor / (out[row] as number), `${name} ${row}`).toBeCloseTo(1, 2);
    }
  },
);

it('scores class by class are those of the classes alone, brought together', async () => {
  const example = (label: number, first: number) => ({
    ids: Int32Array.of(first, 5, 9),
    types: new Int32Array(3),
    labels: new Int32Array(3).fill(-100),
    label,
  });
  const examples = [example(0, 1), example(2, 3), example(0, 7), example(2, 11), example(0, 13)];
  const zo = { zo_estimates: 1, zo_splits: 1, zo_eps: 1e-3, scoring_memory_mb: 0, calibration_batches: 9 };
  const config = { scorer: 'taylor' as const, targets: choice.targets, layers: choice.layers, ...zo };
  const score = (of: typeof examples, label_aggregation?: 'max') =>
    scoreChannels({
      engine,
      model,
      config: { ...config, ...(label_aggregation && { label_aggregation }) },
      seed: 4,
      examples: of,
      batchSize: 1,
    });
  const joined = await score(examples, 'max');
  const alone = await Promise.all([0, 2].map((label) => score(examples.filter((one) => one.label === label))));
  expect(joined.batches).toBe(5);
  for (const [name, { out }] of joined.scores)
    for (const [row, value] of out.entries()) {
      const [a = 0, b = 0] = alone.map(({ scores, batches }) => (scores.get(name)?.out[row] as number) / batches);
      expect(value).toBeCloseTo(Math.max(a, b), 6);
    }
  const unlabelled = examples.map(({ ids, types, labels }) => ({ ids, types, labels: labels.map(() => 1) }));
  await expect(
    scoreChannels({ engine, model, config: { ...config, label_aggregation: 'max' }, seed: 4, examples: unlabelled, batchSize: 1 }),
  ).rejects.toThrow(/need a classifier/);
});
