import { philox, type RandomStream } from '../runtime/philox.js';

/** Order of the examples in a data epoch (from 0): a Fisher-Yates permutation of [0, count), a function of (seed, epoch) alone. */
export function exampleOrder(count: number, seed: number, epoch: number): Int32Array {
  return shuffled(
    Int32Array.from({ length: count }, (_, i) => i),
    philox(seed, 'order', epoch),
  );
}

/** Micro-batches whose examples are sorted together: enough to find similar lengths, few enough that an epoch stays well mixed. */
const batchesPerBucket = 50;

/**
 * The same examples, in micro-batches of similar length: the order of `exampleOrder` in buckets of 50 micro-batches, each sorted by length (equal
 * lengths stay in order), then the micro-batches of the whole epoch shuffled. Leftover examples stay the last, smaller micro-batch. A function of
 * (lengths, batch, seed, epoch) alone. lengths: tokens of each example.
 */
export function bucketedOrder(lengths: Int32Array, batch: number, seed: number, epoch: number): Int32Array {
  const order = exampleOrder(lengths.length, seed, epoch);
  const whole = Math.floor(order.length / batch);
  const full = whole * batch;
  for (let first = 0; first < full; first += batch * batchesPerBucket) {
    const bucket = order.subarray(first, Math.min(first + batch * batchesPerBucket, full));
    bucket.set(Array.from(bucket).sort((a, b) => (lengths[a] as number) - (lengths[b] as number)));
  }
  const batches = shuffled(
    Int32Array.from({ length: whole }, (_, i) => i),
    philox(seed, 'bucket order', epoch),
  );
  const result = order.slice();
  batches.forEach((from, to) => {
    result.set(order.subarray(from * batch, (from + 1) * batch), to * batch);
  });
  return result;
}

/** In place. */
function shuffled(order: Int32Array, random: RandomStream): Int32Array {
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const held = order[i] as number;
    order[i] = order[j] as number;
    order[j] = held;
  }
  return order;
}
