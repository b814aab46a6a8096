import type { EncodedExample } from '@rowsmith/contracts';
import type { Batch, Sequences } from '../models/causal-lm.js';

/** Label of a position that does not count. */
export const ignoredLabel = -100;

/**
 * Pads examples on the right to the longest of them: labels with -100, so that padding is never counted, ids with 0, which is a valid id
 * of every vocabulary. Returns size B = examples, length T = the longest, ids and labels [B*T] row-major.
 */
export function collate(examples: readonly EncodedExample[]): Batch {
  const size = examples.length;
  const length = examples.reduce((longest, { ids }) => Math.max(longest, ids.length), 0);
  const ids = new Int32Array(size * length);
  const labels = new Int32Array(size * length).fill(ignoredLabel);
  for (const [row, example] of examples.entries()) {
    ids.set(example.ids, row * length);
    labels.set(example.labels, row * length);
  }
  return examples[0]?.label === undefined
    ? { size, length, ids, labels }
    : { size, length, ids, labels, sequences: sequences(examples, length) };
}

/** Lengths, types and classes of classified sequences, padded to `length`. */
function sequences(examples: readonly EncodedExample[], length: number): Sequences {
  const types = new Int32Array(examples.length * length);
  for (const [row, example] of examples.entries()) if (example.types) types.set(example.types, row * length);
  return {
    counts: Int32Array.from(examples, ({ ids }) => ids.length),
    types,
    // Out of every range, so that a batch of both kinds of examples is refused.
    classes: Int32Array.from(examples, ({ label }) => label ?? ignoredLabel),
  };
}

/**
 * Packs examples into one sequence, one after the other: no padding. Returns size 1, length T = all their tokens, and where each begins and
 * ends (`lengths`).
 */
export function pack(examples: readonly EncodedExample[]): Batch {
  const lengths = Int32Array.from(examples, ({ ids }) => ids.length);
  const length = lengths.reduce((sum, count) => sum + count, 0);
  const ids = new Int32Array(length);
  const labels = new Int32Array(length);
  let start = 0;
  for (const example of examples) {
    ids.set(example.ids, start);
    labels.set(example.labels, start);
    start += example.ids.length;
  }
  return { size: 1, length, ids, labels, lengths };
}

/** Without padding that counts: packed, or, classified sequences, padded, since a classifier knows its padding. */
export const wholeOf = (examples: readonly EncodedExample[]): Batch =>
  examples[0]?.label === undefined ? pack(examples) : collate(examples);

/** One example needs neither form: it is the batch. Classified sequences are padded whatever is asked. */
export const batchOf = (examples: readonly EncodedExample[], packing: boolean): Batch =>
  packing && examples.length > 1 ? wholeOf(examples) : collate(examples);

/**
 * A classified sequence counts once. Of others the positions whose label is predicted: after the shift by one the first label of a sequence has nothing that predicts it.
 * This is the weight of an example in every mean of the engine.
 */
export function labelledTokens({ labels, label }: EncodedExample): number {
  if (label !== undefined) return 1;
  let count = 0;
  for (let t = 1; t < labels.length; t++) if (labels[t] !== ignoredLabel) count++;
  return count;
}
