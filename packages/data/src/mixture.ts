/**
 * Weights of files and the part held out for validation. Which rows are chosen follows from the seed and the text of the rows alone, so the same job
 * chooses the same rows wherever and however often it runs. How many is said here too: the API tells it before anything is encoded.
 */
import type { EncodedDataset } from './encode.js';

/** round(rows x share), at least 1 of a file that has rows. */
export const heldOutOf = (rows: number, share: number): number => (rows === 0 ? 0 : Math.max(1, Math.round(rows * share)));

/** round(rows x weight), at least 1 of a file that has rows. */
export const weightedRows = (rows: number, weight: number): number => (rows === 0 ? 0 : Math.max(1, Math.round(rows * weight)));

/** 32-bit finaliser of MurmurHash3: every bit of the input changes half of the bits of the result. */
function mixed(x: number): number {
  let h = x | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A number for every row that orders them at random, the same for equal rows. `purpose` keeps two choices of one seed apart. */
function keysOf(hashes: readonly number[], seed: number, purpose: number): Float64Array {
  const salt = mixed(seed ^ mixed(purpose));
  return Float64Array.from(
    hashes,
    (hash) => mixed((hash % 2 ** 32) ^ salt) * 2 ** 21 + (mixed(Math.floor(hash / 2 ** 32) ^ salt) % 2 ** 21),
  );
}

/** The `count` rows of the lowest keys; of equal ones the first, or all with `wholeTies`. [rows] */
function chosen(keys: Float64Array, count: number, wholeTies: boolean): readonly boolean[] {
  if (count <= 0) return Array.from(keys, () => false);
  const sorted = Float64Array.from(keys).sort();
  const highest = sorted[Math.min(count, keys.length) - 1] as number;
  let ties = wholeTies ? keys.length : count - sorted.indexOf(highest);
  return Array.from(keys, (key) => key < highest || (key === highest && ties-- > 0));
}

function subset(dataset: EncodedDataset, copiesOfRow: (row: number) => number): EncodedDataset {
  const picked = dataset.exampleRows.flatMap((row, i) => Array.from({ length: copiesOfRow(row) }, () => i));
  const examples = picked.map((i) => dataset.examples[i] as EncodedDataset['examples'][number]);
  const rows = dataset.rowHashes.reduce((sum, _, row) => sum + copiesOfRow(row), 0);
  const tokens = examples.reduce((sum, { ids }) => sum + ids.length, 0);
  const labelledTokens = examples.reduce(
    (sum, { labels }) => sum + labels.subarray(1).reduce((n, label) => n + (label >= 0 ? 1 : 0), 0),
    0,
  );
  // A part can't be chosen from again: row numbers are those of the file.
  return {
    ...dataset,
    examples,
    exampleRows: picked.map((i) => dataset.exampleRows[i] as number),
    counts: { ...dataset.counts, rows, examples: examples.length, tokens, labelledTokens },
  };
}

/** Equal rows are never on both sides, so a few more than `heldOutOf` may be held out. */
export function holdOut(
  dataset: EncodedDataset,
  share: number,
  seed: number,
): { readonly train: EncodedDataset; readonly heldOut: EncodedDataset } {
  const out = chosen(keysOf(dataset.rowHashes, seed, 1), heldOutOf(dataset.rowHashes.length, share), true);
  return { train: subset(dataset, (row) => (out[row] ? 0 : 1)), heldOut: subset(dataset, (row) => (out[row] ? 1 : 0)) };
}

/** Every row floor(weight) times, and some of them once more; the copies of an example follow each other, the shuffle of an epoch parts them. */
export function weighted(dataset: EncodedDataset, weight: number, seed: number): EncodedDataset {
  if (weight === 1) return dataset;
  const present = [...new Set(dataset.exampleRows)];
  const whole = Math.floor(weight);
  const more = chosen(
    keysOf(
      present.map((row) => dataset.rowHashes[row] as number),
      seed,
      2,
    ),
    weightedRows(present.length, weight) - whole * present.length,
    false,
  );
  const extra = new Set(present.filter((_, i) => more[i]));
  const there = new Set(present);
  return subset(dataset, (row) => (there.has(row) ? whole + (extra.has(row) ? 1 : 0) : 0));
}

/** Data sets one after the other; rows are numbered on. */
export function concatenated(parts: readonly EncodedDataset[]): EncodedDataset {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const sum = (name: keyof EncodedDataset['counts']) => parts.reduce((total, { counts }) => total + counts[name], 0);
  let before = 0;
  const exampleRows = parts.flatMap((part) => {
    const rows = part.exampleRows.map((row) => before + row);
    before += part.rowHashes.length;
    return rows;
  });
  return {
    examples: parts.flatMap(({ examples }) => examples),
    exampleRows,
    rowHashes: parts.flatMap(({ rowHashes }) => rowHashes),
    dropped: parts.flatMap(({ dropped }) => dropped),
    skipped: parts.flatMap(({ skipped }) => skipped),
    counts: {
      rows: sum('rows'),
      examples: sum('examples'),
      truncated: sum('truncated'),
      dropped: sum('dropped'),
      skipped: sum('skipped'),
      tokens: sum('tokens'),
      labelledTokens: sum('labelledTokens'),
    },
  };
}
