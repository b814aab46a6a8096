/** What a classifier gets right. */
import type { EncodedExample } from '@rowsmith/contracts';
import type { SequenceClassifier } from '../models/causal-lm.js';
import { batchOf } from './collate.js';
import { aborted } from './turn.js';

/** [classes][classes]: examples of a class (first) for which a class was predicted (second). */
export type Confusion = readonly (readonly number[])[];

/** The likeliest class of each example, `batch` at a time; ties go to the lower one. null when the signal was aborted in between. */
export async function confusionOf(
  model: SequenceClassifier,
  examples: readonly EncodedExample[],
  batch: number,
  signal: AbortSignal | undefined,
): Promise<Confusion | null> {
  const { classes } = model;
  const counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let first = 0; first < examples.length; first += batch) {
    if (await aborted(signal)) return null;
    const part = examples.slice(first, first + batch);
    const logits = model.classLogits(batchOf(part, false));
    for (const [i, { label = -1 }] of part.entries()) {
      const own = Array.from(logits.subarray(i * classes, (i + 1) * classes));
      const row = counts[label];
      const best = own.indexOf(Math.max(...own));
      if (row && best >= 0) row[best] = (row[best] ?? 0) + 1;
    }
  }
  return counts;
}

/** Share of the examples on the diagonal; NaN without any. */
export function accuracyOf(confusion: Confusion): number {
  const right = confusion.reduce((sum, row, k) => sum + (row[k] as number), 0);
  return right / confusion.flat().reduce((sum, count) => sum + count, 0);
}

/**
 * Matthews correlation R_K = (c s - sum p_k t_k) / sqrt((s^2 - sum p_k^2)(s^2 - sum t_k^2)) with s examples, c of them right, t_k of class k and p_k
 * predicted as k (Gorodkin, Computational Biology and Chemistry 28, 2004; with two classes the one of CoLA). 0 where the root is 0.
 */
export function matthewsOf(confusion: Confusion): number {
  const truths = confusion.map((row) => row.reduce((sum, count) => sum + count, 0));
  const predictions = confusion.map((_, k) => confusion.reduce((sum, row) => sum + (row[k] as number), 0));
  const s = truths.reduce((sum, count) => sum + count, 0);
  const c = confusion.reduce((sum, row, k) => sum + (row[k] as number), 0);
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
  const root = Math.sqrt((s * s - dot(predictions, predictions)) * (s * s - dot(truths, truths)));
  return root === 0 ? 0 : (c * s - dot(truths, predictions)) / root;
}
