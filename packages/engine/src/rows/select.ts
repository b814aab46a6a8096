/** The `k` largest scores; among equals the lower index. Indices, ascending. Pure. */
export function selectLargest(scores: ArrayLike<number>, k: number): Int32Array {
  const order = Int32Array.from({ length: scores.length }, (_, i) => i);
  order.sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
  return order.slice(0, k).sort();
}

/**
 * Selection within `groups` equal blocks of consecutive channels (heads): in each block floor((n - k) / groups) of the smallest scores stay frozen,
 * down to a multiple of `roundTo`, so that at least k rows are selected and every block has the same number (Li & Bhaskara, arXiv 2502.11439).
 * Throws RangeError when the channels do not divide. Indices, ascending. Pure.
 */
export function selectLargestInGroups(scores: ArrayLike<number>, k: number, groups: number, roundTo = 1): Int32Array {
  const n = scores.length;
  if (groups < 1 || n % groups !== 0) throw new RangeError(`${n} channels cannot be cut into ${groups} equal groups`);
  const size = n / groups;
  const frozen = Math.floor(Math.max(0, n - k) / groups);
  const kept = size - (frozen - (frozen % roundTo));
  const values = Array.from(scores);
  return Int32Array.from(
    Array.from({ length: groups }, (_, group) => {
      const start = group * size;
      return Array.from(selectLargest(values.slice(start, start + size), kept), (i) => start + i);
    }).flat(),
  );
}
