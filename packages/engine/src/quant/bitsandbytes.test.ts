/** What bitsandbytes makes of the same matrix: fixtures/make-nf4-fixture.py. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type Engine, openEngine } from '../engine.js';
import { dynamicLevels, quantiseScales, scaleOf } from './double-quantise.js';
import { nf4Block, nf4Levels } from './formats.js';

interface Fixture {
  readonly rows: number;
  readonly columns: number;
  readonly codes: string;
  readonly scales: string;
  readonly values: string;
  readonly double: {
    readonly levels: string;
    readonly codes: string;
    readonly scales: string;
    readonly mean: number;
    readonly values: string;
  };
}
const fixture = JSON.parse(readFileSync(new URL('../../fixtures/nf4-fixture.json', import.meta.url), 'utf8')) as Fixture;
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const floats = (text: string): Float32Array => new Float32Array(bytes(text).buffer);

const { rows, columns } = fixture;
const w = Float32Array.from({ length: rows * columns }, (_, i) => {
  const x = ((((7919 * i) % 65521) * i + 104729 * i + 13) % 65521) - 32760;
  return x / 2 ** 20 / (Math.floor(i / 64) === 5 ? 64 : 1);
});

it('codes, scales and values are bitsandbytes’ in every bit', async () => {
  const { ops }: Engine = await openEngine();
  const { runtime } = ops;
  runtime.scope(() => {
    const q = ops.quantiseNf4(runtime.upload(w, [rows, columns], 'f32', true), nf4Block);
    const codes = runtime.readI32(runtime.execute('Cast', [q.codes], [{ name: 'DstT', type: 4, value: 3 }]));
    expect(Uint8Array.from(codes)).toEqual(bytes(fixture.codes));
    expect(runtime.readF32(q.scales)).toEqual(floats(fixture.scales));
    expect(runtime.readF32(ops.dequantiseNf4(q, nf4Block, { start: 0, rows: 8, columns }))).toEqual(floats(fixture.values));
  });
});

it('double quantisation: levels, scales and mean are bitsandbytes’, codes but for a near tie, values within a rounding', () => {
  const { double } = fixture;
  expect(dynamicLevels).toEqual(floats(double.levels));
  const q = quantiseScales(floats(fixture.scales));
  // Its processor code takes a neighbour of the nearest level where the two are nearly as far: once in these 300.
  const theirs = bytes(double.codes);
  const differ = [...q.codes.keys()].filter((i) => q.codes[i] !== theirs[i]);
  expect(differ).toEqual([15]);
  const level = (codes: Uint8Array) => dynamicLevels[codes[15] as number] as number;
  const x = Math.fround(Math.fround((floats(fixture.scales)[15] as number) - q.mean) / (q.scales[0] as number));
  expect(Math.abs(x - level(q.codes))).toBeLessThan(Math.abs(x - level(theirs)));
  expect(q.scales).toEqual(floats(double.scales));
  expect(q.mean).toBe(double.mean);
  const codes = bytes(fixture.codes);
  floats(double.values).forEach((value, i) => {
    const code = i % 2 === 0 ? (codes[i >> 1] as number) >> 4 : (codes[i >> 1] as number) & 15;
    const ours = Math.fround((nf4Levels[code] as number) * scaleOf(q, i >> 6));
    expect(Math.abs(ours - value)).toBeLessThanOrEqual(2 ** -23 * Math.abs(value));
  });
});
