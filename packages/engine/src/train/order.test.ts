import { describe, expect, it } from 'vitest';
import { exampleOrder } from './order.js';

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
