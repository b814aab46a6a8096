/** Scores of one matrix made comparable with those of another. Never changes the ranking inside the matrix. */
export type Normaliser = (scores: ArrayLike<number>) => Float64Array;

/** I / mean(I). All-zero scores stay zero. */
export const byMean: Normaliser = (scores) => {
  const values = Float64Array.from(scores);
  let sum = 0;
  for (const value of values) sum += value;
  return sum === 0 ? values : values.map((value) => (value * values.length) / sum);
};
