/** The `k` largest scores; among equals the lower index. Indices, ascending. Pure. */
export function selectLargest(scores: ArrayLike<number>, k: number): Int32Array {
  const order = Int32Array.from({ length: scores.length }, (_, i) => i);
  order.sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
  return order.slice(0, k).sort();
}
