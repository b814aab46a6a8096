/** Random numbers that a seed and a place decide alone, so that one fault of a long run can be looked at again without those before it. */
import { createHash } from 'node:crypto';

export interface Draws {
  /** In [0, 1), 32 bits. */
  number(): number;
  /** A whole number from `low` to `high`, both possible. */
  between(low: number, high: number): number;
  pick<T>(values: readonly T[]): T;
  /** By weight; weights need not add up to anything. */
  weighted<T extends string>(weights: Readonly<Record<T, number>>): T;
}

/** Counter mode of SHA-256 over `place`. */
export function seeded(...place: readonly (string | number)[]): Draws {
  let drawn = 0;
  const number = () =>
    createHash('sha256')
      .update(`${place.join('/')}#${drawn++}`)
      .digest()
      .readUInt32BE() /
    2 ** 32;
  const between = (low: number, high: number) => low + Math.floor(number() * (high - low + 1));
  return {
    number,
    between,
    pick<T>(values: readonly T[]): T {
      if (values.length === 0) throw new Error('pick: there is nothing to choose from');
      return values[between(0, values.length - 1)] as T;
    },
    weighted<T extends string>(weights: Readonly<Record<T, number>>): T {
      const entries = Object.entries(weights) as [T, number][];
      let rest = number() * entries.reduce((sum, [, weight]) => sum + weight, 0);
      for (const [name, weight] of entries) {
        rest -= weight;
        if (rest < 0) return name;
      }
      throw new Error('weighted: no weight is above zero');
    },
  };
}
