import { describe, expect, it } from 'vitest';
import { philox, philox4x32 } from './philox.js';

describe('philox4x32-10', () => {
  // Known-answer vectors of the Random123 library (kat_vectors, "philox4x32 10").
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)('counter %j key %j', (counter, key, expected) => {
    expect(philox4x32(counter, key)).toEqual(expected);
  });
});

describe('philox streams', () => {
  it('are a function of seed, purpose and step alone', () => {
    const draw = (seed: number, purpose: string, step: number) => Array.from({ length: 9 }, philox(seed, purpose, step).u32);
    expect(draw(7, 'shuffle', 3)).toEqual(draw(7, 'shuffle', 3));
    const distinct = [
      draw(7, 'shuffle', 3),
      draw(8, 'shuffle', 3),
      draw(7, 'rows', 3),
      draw(7, 'shuffle', 4),
      draw(7 + 2 ** 32, 'shuffle', 3),
    ];
    expect(new Set(distinct.map((words) => words.join())).size).toBe(distinct.length);
  });

  it('below: every value equally often, within 5 standard deviations', () => {
    const stream = philox(1, 'dice', 0);
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 6000; i++) {
      const face = stream.below(6);
      counts[face] = (counts[face] ?? 0) + 1;
    }
    const deviation = Math.sqrt(6000 * (1 / 6) * (5 / 6));
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(5 * deviation);
  });

  it('fill: stays in range, mean in the middle', () => {
    const values = philox(2, 'fill', 0).fill(new Float32Array(10_000), -1, 3);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...values)).toBeLessThan(3);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(Math.abs(mean - 1)).toBeLessThan((5 * 4) / Math.sqrt(12 * 10_000));
  });

  it('refuses a seed that would be rounded', () => {
    expect(() => philox(2 ** 53, 'x', 0)).toThrow(/seed/);
    expect(() => philox(-1, 'x', 0)).toThrow(/seed/);
  });
});
