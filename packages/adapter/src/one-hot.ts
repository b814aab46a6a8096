import { AdapterError } from './errors.js';

/**
 * Rows of B [out, r] that are not zero outside the columns [skip, skip + count): each holds a single 1, each column at most one. Ascending rows.
 * Throws AdapterError `bad_export`.
 */
export function oneHotRows(
  b: Float32Array,
  out: number,
  rank: number,
  name: string,
  { skip, count }: { readonly skip: number; readonly count: number } = { skip: rank, count: 0 },
): readonly { readonly row: number; readonly column: number }[] {
  const places: { row: number; column: number }[] = [];
  const taken = new Set<number>();
  for (let row = 0; row < out; row++) {
    for (let column = 0; column < rank; column++) {
      const value = b[row * rank + column];
      if (value === 0 || (column >= skip && column < skip + count)) continue;
      if (value !== 1) throw new AdapterError('bad_export', `lora_B of ${name} holds ${value} in row ${row}; only 0 and 1 can be`);
      if (places.at(-1)?.row === row) throw new AdapterError('bad_export', `lora_B of ${name} has two ones in row ${row}`);
      if (taken.has(column)) throw new AdapterError('bad_export', `lora_B of ${name} uses column ${column} twice`);
      taken.add(column);
      places.push({ row, column });
    }
  }
  return places;
}
