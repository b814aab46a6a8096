import { expect, it } from 'vitest';
import { openEngine } from '../engine.js';
import { createClassifier } from '../models/encoder.js';
import { encoderFixture } from '../testing/encoder-fixture.js';
import { accuracyOf, confusionOf, matthewsOf } from './classify.js';

it('Matthews correlation by its definitions', () => {
  // (TP TN - FP FN) / sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN)) with TN 40, FP 10, FN 5, TP 20.
  expect(
    matthewsOf([
      [40, 10],
      [5, 20],
    ]),
  ).toBeCloseTo((20 * 40 - 10 * 5) / Math.sqrt(30 * 25 * 50 * 45), 12);
  // Of classes 0 0 0 1 1 2 2 2 and predictions 0 0 1 1 1 2 2 0, by covariances of indicators: cov(t, p) / sqrt(cov(t, t) cov(p, p)) = 9/14.
  expect(
    matthewsOf([
      [2, 1, 0],
      [0, 2, 0],
      [1, 0, 2],
    ]),
  ).toBeCloseTo(9 / 14, 12);
  expect(
    matthewsOf([
      [5, 0],
      [3, 0],
    ]),
  ).toBe(0);
  expect(
    matthewsOf([
      [0, 4],
      [3, 0],
    ]),
  ).toBe(-1);
  expect(
    accuracyOf([
      [2, 1, 0],
      [0, 2, 0],
      [1, 0, 2],
    ]),
  ).toBe(6 / 8);
});

it('counts what transformers predicts for the fixture: class 2 four times', async () => {
  const { model: source, batch, expected } = encoderFixture();
  const engine = await openEngine();
  const model = createClassifier(engine.ops, source);
  const examples = Array.from(batch.sequences?.classes ?? [], (label, row) => {
    const count = batch.sequences?.counts[row] ?? 0;
    const start = row * batch.length;
    const cut = (values: Int32Array | undefined) => (values ?? new Int32Array(0)).slice(start, start + count);
    return { ids: cut(batch.ids), labels: cut(batch.labels), types: cut(batch.sequences?.types), label };
  });
  const logits = expected.get('logits') as Float32Array;
  for (let row = 0; row < 4; row++) expect(Math.max(...logits.subarray(row * 3, row * 3 + 3))).toBe(logits[row * 3 + 2]);
  const confusion = [
    [0, 0, 1],
    [0, 0, 1],
    [0, 0, 2],
  ];
  expect(await confusionOf(model, examples, 3, undefined)).toEqual(confusion);
  expect(await confusionOf(model, examples, 3, AbortSignal.abort())).toBeNull();
  model.dispose();
});
