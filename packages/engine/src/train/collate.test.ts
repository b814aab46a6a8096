import { describe, expect, it } from 'vitest';
import { collate, labelledTokens } from './collate.js';

const example = (ids: number[], labels: number[]) => ({ ids: Int32Array.from(ids), labels: Int32Array.from(labels) });
const [B, p, a, E] = [1, 11, 22, 2];

describe('collate', () => {
  // [B,p,p,a,a,E] padded to 8: labels [-100,-100,-100,a,a,E,-100,-100] and 3 loss terms after the shift; padding with E as the
  // method's published code does would make 5.
  it('pads labels with -100: padding is never a loss term', () => {
    const short = example([B, p, p, a, a, E], [-100, -100, -100, a, a, E]);
    const long = example([B, p, p, p, p, a, a, E], [-100, -100, -100, -100, -100, a, a, E]);
    const batch = collate([short, long]);
    expect(batch.size).toBe(2);
    expect(batch.length).toBe(8);
    expect([...batch.labels.slice(0, 8)]).toEqual([-100, -100, -100, a, a, E, -100, -100]);
    expect([...batch.ids.slice(0, 6)]).toEqual([...short.ids]);
    expect([...batch.ids.slice(8)]).toEqual([...long.ids]);
    expect([...batch.labels.slice(8)]).toEqual([...long.labels]);
    expect(labelledTokens(short)).toBe(3);
    const padded = example([...batch.ids.slice(0, 8)], [...batch.labels.slice(0, 8)]);
    expect(labelledTokens(padded)).toBe(3);
  });

  it('does not touch a batch of equal lengths', () => {
    const batch = collate([example([1, 2], [1, 2]), example([3, 4], [-100, 4])]);
    expect([...batch.ids]).toEqual([1, 2, 3, 4]);
    expect([...batch.labels]).toEqual([1, 2, -100, 4]);
  });
});

it('labelledTokens leaves out the first position: nothing predicts it', () => {
  expect(labelledTokens(example([5, 6, 7], [5, 6, 7]))).toBe(2);
  expect(labelledTokens(example([5], [5]))).toBe(0);
});
