import { selectLargest } from './select.js';

/**
 * The `count` largest of all scores together; among equals the earlier matrix, then the lower index. Returns indices within each matrix, ascending; a
 * matrix may get none. Scores of different matrices must be comparable (`byMean`). Pure. The published code counts rows ten times and fails on groups.
 */
export function selectGlobally(matrices: readonly ArrayLike<number>[], count: number): Int32Array[] {
  const all = new Float64Array(matrices.reduce((sum, { length }) => sum + length, 0));
  const starts: number[] = [];
  let next = 0;
  for (const scores of matrices) {
    starts.push(next);
    all.set(scores, next);
    next += scores.length;
  }
  const chosen = selectLargest(all, count); // ascending
  let at = 0;
  return matrices.map(({ length }, i) => {
    const start = starts[i] as number;
    const first = at;
    while (at < chosen.length && (chosen[at] as number) < start + length) at++;
    return chosen.slice(first, at).map((row) => row - start);
  });
}
