import { describe, expect, it } from 'vitest';
import { philox } from '../runtime/philox.js';
import { bucketedOrder, exampleOrder } from './order.js';

describe('exampleOrder', () => {
  it('is a permutation, the same for the same seed and epoch, another for another', () => {
    const order = exampleOrder(50, 7, 2);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(exampleOrder(50, 7, 2)).toEqual(order);
    expect(exampleOrder(50, 7, 3)).not.toEqual(order);
    expect(exampleOrder(50, 8, 2)).not.toEqual(order);
  });

  it('each of the 6 orders of 3 examples equally often, within 5 standard deviations', () => {
    const counts = new Map<string, number>();
    for (let epoch = 0; epoch < 6000; epoch++) {
      const key = exampleOrder(3, 1, epoch).join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    const deviation = Math.sqrt(6000 * (1 / 6) * (5 / 6));
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(5 * deviation);
  });

  it('of one example is that example', () => expect([...exampleOrder(1, 0, 0)]).toEqual([0]));
});

describe('bucketed order', () => {
  const random = philox(4, 'lengths', 0);
  const lengths = Int32Array.from({ length: 403 }, () => 1 + random.below(500));
  const batches = (order: Int32Array, size: number) =>
    Array.from({ length: Math.ceil(order.length / size) }, (_, i) => Array.from(order.subarray(i * size, (i + 1) * size)));
  const padding = (order: Int32Array) =>
    batches(order, 4).reduce((sum, batch) => {
      const of = batch.map((i) => lengths[i] as number);
      return sum + of.length * Math.max(...of) - of.reduce((a, b) => a + b, 0);
    }, 0);

  it('has every example once; the leftover ones are those of the plain order, at its end', () => {
    const order = bucketedOrder(lengths, 4, 7, 2);
    expect(Array.from(order).sort((a, b) => a - b)).toEqual(Array.from(lengths.keys()));
    expect(order.slice(-3)).toEqual(exampleOrder(403, 7, 2).slice(-3));
  });

  it('needs less than a tenth of the padding of the plain order', () => {
    expect(padding(bucketedOrder(lengths, 4, 7, 0))).toBeLessThan(0.1 * padding(exampleOrder(403, 7, 0)));
  });

  it('is a function of seed and epoch, and does not go from short to long', () => {
    const order = bucketedOrder(lengths, 4, 7, 0);
    expect(bucketedOrder(lengths, 4, 7, 0)).toEqual(order);
    expect(bucketedOrder(lengths, 4, 7, 1)).not.toEqual(order);
    expect(bucketedOrder(lengths, 4, 8, 0)).not.toEqual(order);
    const longest = batches(order, 4).map((batch) => Math.max(...batch.map((i) => lengths[i] as number)));
    const rises = longest.filter((value, i) => i > 0 && value >= (longest[i - 1] as number)).length;
    expect(rises).toBeGreaterThan(30);
    expect(rises).toBeLessThan(70);
  });

  it('equal lengths: a shuffle of the plain micro-batches, each as it was', () => {
    const equal = new Int32Array(12).fill(9);
    const sorted = (order: Int32Array) => batches(order, 3).map(String).sort();
    expect(sorted(bucketedOrder(equal, 3, 1, 0))).toEqual(sorted(exampleOrder(12, 1, 0)));
  });
});
