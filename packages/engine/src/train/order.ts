import { philox } from '../runtime/philox.js';

/** Order of the examples in a data epoch (from 0): a Fisher-Yates permutation of [0, count), a function of (seed, epoch) alone. */
export function exampleOrder(count: number, seed: number, epoch: number): Int32Array {
  const random = philox(seed, 'order', epoch);
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const held = order[i] as number;
    order[i] = order[j] as number;
    order[j] = held;
  }
  return order;
}
