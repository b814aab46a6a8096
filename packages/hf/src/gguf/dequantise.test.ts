import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { f16Table } from '../half-floats.js';
import { dequantise } from './dequantise.js';
import { supportedTypes } from './tensor-types.js';

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/${name}`, import.meta.url));
const blob = fixture('quants.bin');
const entries = JSON.parse(fixture('quants.json').toString()) as { type: string; bytes: [number, number]; values: [number, number] }[];
const cut = ([start, length]: [number, number]) => blob.subarray(start, start + length);

describe('dequantise', () => {
  for (const { type, bytes, values } of entries) {
    it(`equals Python's gguf bit for bit: ${type}`, () => {
      const expected = cut(values);
      const out = new Float32Array(expected.length / 4);
      dequantise(type, cut(bytes), out);
      expect(out.length).toBeGreaterThan(500);
      expect(Buffer.compare(Buffer.from(out.buffer), expected)).toBe(0);
    });
  }

  it('has a fixture for every supported type', () => {
    expect(entries.map((e) => e.type).sort()).toEqual([...supportedTypes.values()].map((t) => t.name).sort());
  });
});

describe('f16', () => {
  // IEEE 754-2019, binary16: value = (-1)^s * 2^(e-15) * (1 + f/1024); e = 0: f * 2^-24; e = 31: infinity or NaN.
  it('has the values of the standard', () => {
    const at = (bits: number) => f16Table()[bits];
    expect([at(0x0000), at(0x3c00), at(0xc000), at(0x7bff), at(0x0001), at(0x03ff), at(0x0400)]).toEqual([
      0,
      1,
      -2,
      65504,
      2 ** -24,
      1023 * 2 ** -24,
      2 ** -14,
    ]);
    expect(Object.is(at(0x8000), -0)).toBe(true);
    expect([at(0x7c00), at(0xfc00), at(0x7c01)]).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]);
  });
});
